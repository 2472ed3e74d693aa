//! Notices whether a thread serves shells or moves transfers, by the processor's time that it takes, and tells the
//! kernel. It is looked at only as the thread goes to sleep or wakes up, so that an idle thread costs nothing.
//! A thread that serves a terminal serves shells, whatever it moves beside that. What a transfer has used of the
//! allocator's memory is given back once the thread moves none any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::allocator;
use crate::slice::{self, Work};

/// Between two looks at a thread's time.
const LOOK: Duration = Duration::from_millis(50);
/// A thread that takes more than one part in so many of a processor moves a transfer.
const MUCH: u32 = 4;
/// Until it takes less than one part in so many.
const LITTLE: u32 = 16;
/// From the end of a transfer until its memory is given back: the next one would only take it again.
const KEEP: Duration = Duration::from_secs(2);

thread_local! {
    /// How many terminals the thread serves.
    static TERMINALS: Arc<AtomicUsize> = Arc::default();
}

/// A terminal that a thread serves until this is dropped.
#[derive(Debug)]
pub struct Terminal(Arc<AtomicUsize>);

impl Terminal {
    /// Served by the calling thread.
    pub fn here() -> Self {
        let count = TERMINALS.with(Arc::clone);
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One thread's pace.
#[derive(Debug)]
pub(crate) struct Pace {
    /// What the kernel was told.
    work: Work,
    /// What the processor's time alone says.
    moves: Work,
    /// When it last moved a transfer whose memory was not given back since.
    transferred: Option<Instant>,
    looked: Instant,
    /// The processor's time that it had taken by then.
    ran: Duration,
}

impl Pace {
    /// Of the calling thread.
    pub(crate) fn new() -> Self {
        let this = Self {
            work: Work::Shells,
            moves: Work::Shells,
            transferred: None,
            looked: Instant::now(),
            ran: ran(),
        };
        this.tell();
        this
    }

    /// Looks at the calling thread, if it is time.
    pub(crate) fn look(&mut self) {
        let now = Instant::now();
        let since = now.duration_since(self.looked);
        if since < LOOK {
            return;
        }
        let ran = ran();
        self.moves = after(self.moves, ran.saturating_sub(self.ran), since);
        (self.looked, self.ran) = (now, ran);
        match (self.moves, self.transferred) {
            (Work::Transfers, _) => self.transferred = Some(now),
            (Work::Shells, Some(at)) if now.duration_since(at) > KEEP => {
                self.transferred = None;
                allocator::give_back();
            }
            (Work::Shells, _) => {}
        }
        let terminals = TERMINALS.with(|count| count.load(Ordering::Relaxed));
        let work = match terminals {
            0 => self.moves,
            _ => Work::Shells,
        };
        if work != self.work {
            self.work = work;
            self.tell();
        }
    }

    /// A kernel that does not take it leaves the thread as it was.
    fn tell(&self) {
        if let Err(error) = slice::tell(self.work) {
            tracing::debug!(%error, work = ?self.work, "the scheduler is not told");
        }
    }
}

/// What a thread does that has run for so long since the last look.
fn after(before: Work, ran: Duration, since: Duration) -> Work {
    let part = match before {
        Work::Shells => MUCH,
        Work::Transfers => LITTLE,
    };
    if ran > since / part {
        Work::Transfers
    } else {
        Work::Shells
    }
}

fn ran() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_moves_transfers_from_a_quarter_of_a_processor_to_a_sixteenth() {
        let check = |before, ran, expect| {
            let (ran, since) = (Duration::from_millis(ran), Duration::from_millis(160));
            assert_eq!(after(before, ran, since), expect, "{before:?} {ran:?}");
        };
        check(Work::Shells, 40, Work::Shells);
        check(Work::Shells, 41, Work::Transfers);
        check(Work::Transfers, 11, Work::Transfers);
        check(Work::Transfers, 10, Work::Shells);
    }

    #[test]
    fn a_thread_that_computes_is_noticed() {
        let mut pace = Pace::new();
        let begun = Instant::now();
        let mut until = |wanted| {
            while pace.work != wanted && begun.elapsed() < Duration::from_secs(20) {
                pace.look();
            }
            assert_eq!(pace.work, wanted);
        };
        until(Work::Transfers);
        let terminal = Terminal::here();
        until(Work::Shells);
        drop(terminal);
        until(Work::Transfers);
    }

    #[test]
    fn a_transfers_memory_is_given_back_once_it_is_over() {
        let mut pace = Pace::new();
        let begun = Instant::now();
        while pace.transferred.is_none() && begun.elapsed() < Duration::from_secs(20) {
            pace.look();
        }
        assert!(pace.transferred.is_some());
        while pace.transferred.is_some() && begun.elapsed() < Duration::from_secs(20) {
            std::thread::park_timeout(LOOK);
            pace.look();
        }
        assert!(pace.transferred.is_none());
    }
}
