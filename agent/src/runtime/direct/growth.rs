//! Pipes that are enlarged while much goes through them. The kernel gives each user a share of memory for
//! pipes, and cuts new pipes short beyond it (pipe(7), pipe-user-pages-soft). All enlarged ones together
//! have at most a quarter of that.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use rustix::param::page_size;
use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};

/// Pages of all pipes of a user before new ones are cut short; 0 if there is no such limit.
const SOFT: &str = "/proc/sys/fs/pipe-user-pages-soft";
/// That limit where the node does not say another.
const PAGES: usize = 16 * 1024;
/// The part of it that enlarged pipes may have.
const PART: usize = 4;
/// Bytes that an enlarged pipe holds; others hold 64 KiB.
const LARGE: usize = 256 * 1024;
/// How often more waits for a pipe than it takes at once, or gives at once, until it is enlarged.
const MUCH: u32 = 16;
/// How long a pipe that is enlarged may be quiet.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// How many pipes of this agent may be enlarged, for all cores.
#[derive(Debug)]
pub(crate) struct PipeShare {
    most: usize,
    enlarged: AtomicUsize,
    shown: Gauge,
}

/// A place among the enlarged pipes.
#[derive(Debug)]
struct Place {
    share: Arc<PipeShare>,
    /// Bytes that the pipe held before.
    before: usize,
}

/// What goes through one pipe.
#[derive(Debug)]
pub(super) struct Growth {
    share: Arc<PipeShare>,
    much: u32,
    /// Whether anything has gone through it since the last look.
    busy: bool,
    place: Option<Place>,
}

impl PipeShare {
    /// This node's. The gauge shows how many pipes are enlarged.
    pub(crate) fn of_node(shown: Gauge) -> Arc<Self> {
        let said = std::fs::read_to_string(SOFT).ok();
        let pages = said.and_then(|it| it.trim().parse().ok());
        Self::of(pages.filter(|pages| *pages > 0).unwrap_or(PAGES), shown)
    }

    fn of(pages: usize, shown: Gauge) -> Arc<Self> {
        Arc::new(Self {
            most: pages / PART * page_size() / LARGE,
            enlarged: AtomicUsize::new(0),
            shown,
        })
    }

    fn take(self: &Arc<Self>, before: usize) -> Option<Place> {
        let more = |now| (now < self.most).then_some(now + 1);
        let order = Ordering::Relaxed;
        self.enlarged.fetch_update(order, order, more).ok()?;
        self.shown.inc();
        let share = Arc::clone(self);
        Some(Place { share, before })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.share.enlarged.fetch_sub(1, Ordering::Relaxed);
        self.share.shown.dec();
    }
}

impl Growth {
    pub(super) fn new(share: &Arc<PipeShare>) -> Self {
        Self {
            share: Arc::clone(share),
            much: 0,
            busy: false,
            place: None,
        }
    }

    pub(super) fn is_enlarged(&self) -> bool {
        self.place.is_some()
    }

    /// Bytes have gone through the pipe, and it was full for them or not.
    pub(super) fn moved(&mut self, pipe: &OwnedFd, was_full: bool) {
        self.busy = true;
        self.much = if was_full {
            self.much + 1
        } else {
            self.much.saturating_sub(1)
        };
        if self.much >= MUCH {
            self.much = 0;
            self.enlarge(pipe);
        }
    }

    /// A pipe that cannot be enlarged goes on as it is.
    fn enlarge(&mut self, pipe: &OwnedFd) {
        if self.place.is_some() {
            return;
        }
        let before = fcntl_getpipe_size(pipe).ok().filter(|now| *now < LARGE);
        let place = before.and_then(|before| self.share.take(before));
        self.place = place.filter(|_| fcntl_setpipe_size(pipe, LARGE).is_ok());
    }

    /// The pipe is quiet. It keeps its size while more lies in it than it held before.
    pub(super) fn shrink(&mut self, pipe: &OwnedFd) {
        self.much = 0;
        let fits = |place: &Place| fcntl_setpipe_size(pipe, place.before).is_ok();
        if self.place.as_ref().is_some_and(fits) {
            self.place = None;
        }
    }

    /// Looks whether the pipe was quiet since the last look.
    pub(super) fn look(&mut self, pipe: &OwnedFd) {
        if !std::mem::take(&mut self.busy) {
            self.shrink(pipe);
        }
    }

    /// Nothing goes through the pipe any more.
    pub(super) fn end(&mut self) {
        self.place = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn size(pipe: &OwnedFd) -> usize {
        fcntl_getpipe_size(pipe).unwrap()
    }

    fn much(growth: &mut Growth, pipe: &OwnedFd) {
        for _ in 0..MUCH {
            growth.moved(pipe, true);
        }
    }

    #[test]
    fn a_pipe_is_large_while_much_goes_through_it() {
        let shown = Gauge::default();
        let share = PipeShare::of(PAGES, shown.clone());
        let (reader, mut writer) = std::io::pipe().unwrap();
        let pipe = OwnedFd::from(reader);
        let (before, mut growth) = (size(&pipe), Growth::new(&share));
        for _ in 0..10 * MUCH {
            growth.moved(&pipe, true);
            growth.moved(&pipe, false);
        }
        assert_eq!((size(&pipe), growth.is_enlarged()), (before, false));
        much(&mut growth, &pipe);
        assert_eq!((size(&pipe), shown.get()), (LARGE, 1));
        much(&mut growth, &pipe);
        assert_eq!(shown.get(), 1);
        // Something went through it since the last look.
        growth.look(&pipe);
        assert!(growth.is_enlarged());
        // More than it held before lies in it.
        writer.write_all(&vec![0; before + 1]).unwrap();
        growth.look(&pipe);
        assert_eq!((size(&pipe), shown.get()), (LARGE, 1));
        rustix::io::read(&pipe, &mut *vec![0u8; before + 1]).unwrap();
        growth.look(&pipe);
        assert_eq!((size(&pipe), shown.get()), (before, 0));
        much(&mut growth, &pipe);
        assert_eq!(shown.get(), 1);
        drop(growth);
        assert_eq!(shown.get(), 0);
    }

    #[test]
    fn all_together_have_a_quarter_of_a_users_pages() {
        let shown = Gauge::default();
        let pages = PART * 2 * LARGE / page_size();
        let share = PipeShare::of(pages, shown.clone());
        let pipes: Vec<_> = (0..3).map(|_| std::io::pipe().unwrap()).collect();
        let mut growths = Vec::new();
        for (reader, _) in &pipes {
            let pipe = OwnedFd::from(reader.try_clone().unwrap());
            let mut growth = Growth::new(&share);
            much(&mut growth, &pipe);
            growths.push((growth, pipe));
        }
        let large: Vec<_> = growths.iter().map(|(it, _)| it.is_enlarged()).collect();
        assert_eq!((large, shown.get()), (vec![true, true, false], 2));
        growths[0].0.end();
        let (last, pipe) = &mut growths[2];
        much(last, pipe);
        assert!(last.is_enlarged());
    }
}
