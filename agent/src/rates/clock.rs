//! The time that rates go by. Unit tests move theirs themselves, so that ten seconds take none.

#[cfg(not(test))]
pub(super) use tokio::time::sleep;

#[cfg(not(test))]
pub(super) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[cfg(test)]
pub(crate) use moved::{now, run, sleep};

#[cfg(test)]
mod moved {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    thread_local! {
        static NOW: Cell<Instant> = Cell::new(Instant::now());
        static SLEEPERS: RefCell<BTreeMap<(Instant, usize), oneshot::Sender<()>>> = RefCell::default();
        static COUNT: Cell<usize> = Cell::default();
    }

    pub(crate) fn now() -> Instant {
        NOW.get()
    }

    /// As tokio's, it counts whole milliseconds.
    pub(crate) async fn sleep(due: Duration) {
        let (wake, woken) = oneshot::channel();
        let due = Duration::from_millis(due.as_micros().div_ceil(1000) as u64);
        let count = COUNT.replace(COUNT.get() + 1);
        SLEEPERS.with_borrow_mut(|sleepers| sleepers.insert((now() + due, count), wake));
        let _ = woken.await;
    }

    /// Moves the time on until nobody sleeps. All tasks are this thread's.
    pub(crate) async fn run() {
        loop {
            // Each lets every task run that can.
            for _ in 0..50 {
                yield_now().await;
            }
            let next = SLEEPERS.with_borrow_mut(BTreeMap::pop_first);
            let Some(((at, _), wake)) = next else {
                return;
            };
            NOW.set(at);
            let _ = wake.send(());
        }
    }
}
