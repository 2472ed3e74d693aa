//! Wakes writers together. If each piece of a session woke the recorder's thread, a keystroke's echo would wait
//! for a core that this thread has taken, and a download would pay for thousands of wakes a second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// How long what a session has queued may wait for its writer.
const TICK: Duration = Duration::from_millis(20);
/// Ticks that go on with nobody to wake: two seconds, so that who types does not begin them with each key.
const IDLE: u32 = 100;

/// The writers that are to be woken.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    /// Each is here once at most.
    waiting: Mutex<Vec<Wake>>,
    ticking: AtomicBool,
    begin: Notify,
}

/// Wakes one writer.
#[derive(Clone, Debug)]
pub(crate) struct Wake {
    wakes: Arc<Wakes>,
    writer: Arc<Writer>,
}

#[derive(Debug, Default)]
struct Writer {
    woken: Notify,
    /// Whether it waits for the next tick.
    waits: AtomicBool,
}

impl Wakes {
    /// Wakes whom sessions have asked for. Does not return.
    pub(crate) async fn run(&self) {
        loop {
            self.begin.notified().await;
            self.ticking.store(true, Ordering::Relaxed);
            let mut idle = 0;
            while idle < IDLE {
                sleep(TICK).await;
                let waiting = std::mem::take(&mut *self.waiting());
                idle = if waiting.is_empty() { idle + 1 } else { 0 };
                for wake in waiting {
                    wake.writer.waits.store(false, Ordering::Relaxed);
                    wake.now();
                }
            }
            self.ticking.store(false, Ordering::Relaxed);
            // Who has come since the last tick may have seen that there would be another. Whoever comes after
            // this look sees that there is none: the lock is between.
            if !self.waiting().is_empty() {
                self.begin.notify_one();
            }
        }
    }

    /// For a new writer.
    pub(crate) fn wake(self: &Arc<Self>) -> Wake {
        Wake {
            wakes: Arc::clone(self),
            writer: Arc::default(),
        }
    }

    /// Nothing that holds it can panic halfway.
    fn waiting(&self) -> MutexGuard<'_, Vec<Wake>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake {
    /// Wakes the writer with the next tick.
    pub(crate) fn soon(&self) {
        if self.writer.waits.swap(true, Ordering::Relaxed) {
            return;
        }
        self.wakes.waiting().push(self.clone());
        if !self.wakes.ticking.load(Ordering::Relaxed) {
            self.wakes.begin.notify_one();
        }
    }

    /// Wakes it at once.
    pub(crate) fn now(&self) {
        self.writer.woken.notify_one();
    }

    /// Waits until it is woken. A wake while nobody waits counts for the next wait.
    pub(crate) async fn woken(&self) {
        self.writer.woken.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_is_woken_by_the_next_tick_and_ticks_end() {
        let wakes = Arc::new(Wakes::default());
        let (one, other) = (wakes.wake(), wakes.wake());
        let asks = async {
            // Beside idle ticks, at their end, and after it.
            for pause in [0, 1, 50, 1990, 2000, 2010, 5000] {
                sleep(Duration::from_millis(pause)).await;
                let begun = Instant::now();
                one.soon();
                one.soon();
                one.woken().await;
                assert!(
                    begun.elapsed() <= TICK + Duration::from_millis(1),
                    "{pause}"
                );
            }
            let none = timeout(TICK * 2 * IDLE, other.woken()).await;
            assert!(none.is_err() && !wakes.ticking.load(Ordering::Relaxed));
        };
        tokio::select! {
            () = wakes.run() => {}
            () = asks => {}
        }
    }
}
