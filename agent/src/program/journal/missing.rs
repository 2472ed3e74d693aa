//! Pages that could not be written yet, to be tried again. They hold no more bytes than the folder may.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;

/// Pages of one try: what waits behind them in the journal's thread waits for no more.
const TURN: usize = 32;

type Page = Arc<[u8]>;

/// The newest page of each session that is not in the folder.
#[derive(Debug)]
pub(super) struct Missing {
    most: u64,
    waiting: Mutex<Waiting>,
    /// How many there are.
    count: Gauge,
    /// Whether a try is queued.
    tries: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    pages: BTreeMap<PathBuf, Page>,
    bytes: u64,
    /// The last one of the last turn.
    last: Option<PathBuf>,
}

impl Waiting {
    fn remove(&mut self, path: &Path) {
        let removed = self.pages.remove(path);
        self.bytes -= removed.map_or(0, |page| page.len() as u64);
    }
}

impl Missing {
    /// Keeps `most` bytes.
    pub(super) fn new(most: u64, count: Gauge) -> Self {
        Self {
            most,
            waiting: Mutex::default(),
            count,
            tries: AtomicBool::new(false),
        }
    }

    /// Keeps a page until it is written, if there is room; else an older one of the session stays. Says
    /// whether it is kept.
    pub(super) fn keep(&self, path: &Path, page: &Page) -> bool {
        self.change(|waiting| {
            let older = waiting.pages.get(path).map_or(0, |page| page.len() as u64);
            let bytes = waiting.bytes - older + page.len() as u64;
            let fits = bytes <= self.most;
            if fits {
                waiting.bytes = bytes;
                waiting.pages.insert(path.to_owned(), Arc::clone(page));
            }
            fits
        })
    }

    /// The page of a session, unless it is written by now, or the session is over.
    pub(super) fn newest(&self, path: &Path) -> Option<Page> {
        self.waiting().pages.get(path).map(Arc::clone)
    }

    /// This page is written. A newer one of the same session stays.
    pub(super) fn written(&self, path: &Path, page: &Page) {
        self.change(|waiting| {
            let kept = waiting.pages.get(path);
            if kept.is_some_and(|kept| Arc::ptr_eq(kept, page)) {
                waiting.remove(path);
            }
        });
    }

    /// This session is over.
    pub(super) fn forget(&self, path: &Path) {
        self.change(|waiting| waiting.remove(path));
    }

    /// Whether a try may be queued now: there is something to write, and no other try is queued.
    pub(super) fn begins(&self) -> bool {
        !self.waiting().pages.is_empty() && !self.tries.swap(true, Ordering::Relaxed)
    }

    /// Makes a try: `put` writes some pages, other ones each time, and says of each whether it could.
    pub(super) fn again(&self, put: impl Fn(&Path, &[u8]) -> bool) {
        for (path, page) in self.turn() {
            if put(&path, &page) {
                self.written(&path, &page);
            }
        }
        self.ends();
    }

    /// No try is queued.
    pub(super) fn ends(&self) {
        self.tries.store(false, Ordering::Relaxed);
    }

    /// The next of them, and after the last the first.
    fn turn(&self) -> Vec<(PathBuf, Page)> {
        let mut waiting = self.waiting();
        let Waiting { pages, last, .. } = &*waiting;
        let from = last.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let behind = pages.range((from, Bound::Unbounded));
        let all = behind.chain(pages.iter()).take(TURN.min(pages.len()));
        let turn: Vec<_> = all
            .map(|(path, page)| (path.clone(), Arc::clone(page)))
            .collect();
        waiting.last = turn.last().map(|(path, _)| path.clone());
        turn
    }

    fn change<T>(&self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        let mut waiting = self.waiting();
        let changed = change(&mut waiting);
        let count = i64::try_from(waiting.pages.len()).unwrap_or(i64::MAX);
        self.count.set(count);
        changed
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(bytes: usize) -> Page {
        vec![0; bytes].into()
    }

    #[test]
    fn each_has_its_turn_and_newer_ones_stay() {
        let missing = Missing::new(1000, Gauge::default());
        let paths: Vec<_> = (0..TURN + 8)
            .map(|n| PathBuf::from(format!("{n:03}")))
            .collect();
        for path in &paths {
            missing.keep(path, &page(1));
        }
        assert!(missing.begins());
        assert!(!missing.begins(), "one try at a time");
        missing.again(|path, _| {
            missing.keep(path, &page(2));
            true
        });
        assert_eq!(missing.count.get(), 40, "newer ones stay");
        missing.again(|_, _| true);
        missing.again(|_, _| false);
        missing.again(|_, _| true);
        assert!(missing.count.get() <= 8);
        missing.again(|_, _| true);
        assert_eq!((missing.count.get(), missing.waiting().bytes), (0, 0));
        assert!(!missing.begins());
    }

    #[test]
    fn its_bytes_have_a_limit() {
        let missing = Missing::new(10, Gauge::default());
        let keep = |path: &str, bytes| missing.keep(Path::new(path), &page(bytes));
        assert!(keep("a", 6));
        assert!(!keep("b", 5));
        assert!(!keep("a", 11), "the older one stays");
        assert_eq!((missing.count.get(), missing.waiting().bytes), (1, 6));
        assert!(keep("a", 5));
        assert!(keep("b", 5));
        assert_eq!(missing.count.get(), 2);
        missing.forget(Path::new("a"));
        assert_eq!((missing.count.get(), missing.waiting().bytes), (1, 5));
    }
}
