//! Turns at a thread's time for clients that have not logged in. What the thread does for them takes at most half of its
//! time, and of all threads together at most half of all cores' time. A session waits for at most one step of it. Addresses
//! take turns. Their first key exchanges are not counted: other threads compute them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use podgate_process::bucket::Bucket;
use podgate_process::network::Network;
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::by_address::ByAddress;

/// A step that took less than this is not worth a rest, which takes a millisecond or more.
const WORTH: Duration = Duration::from_micros(100);
/// No step computes for longer. A longer one has waited for something.
const LONGEST: Duration = Duration::from_millis(5);

/// What steps may take at once of all cores, before they wait for their part of the time.
const AT_ONCE: Duration = Duration::from_millis(5);

/// The time of all cores that clients that have not logged in may take, in seconds: half of it.
#[derive(Debug)]
pub(crate) struct PreAuthTime(Mutex<Bucket>);

impl PreAuthTime {
    /// Of this many cores.
    pub(crate) fn new(cores: usize) -> Self {
        Self::at(cores, Instant::now())
    }

    fn at(cores: usize, now: Instant) -> Self {
        let half = cores.max(1) as f64 / 2.0;
        Self(Mutex::new(Bucket::full(
            AT_ONCE.as_secs_f64() * half,
            half,
            now,
        )))
    }

    /// Counts a step. Returns how long no other should follow it.
    fn took(&self, time: Duration, now: Instant) -> Duration {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.owe(time.as_secs_f64(), now)
    }
}

/// A client's step, which begins when its turn comes. It ends when russh reads the next packet, or waits for a key
/// exchange.
#[derive(Debug, Default)]
pub(super) struct Step(Mutex<Option<Instant>>);

impl Step {
    pub(super) fn begins(&self) {
        *self.lock() = Some(Instant::now());
    }

    /// Notes how long it took, if it has not ended already.
    pub(super) fn ends(&self, turns: &PreAuthTurns) {
        if let Some(begun) = self.lock().take() {
            turns.took(begun.elapsed());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turns of one thread.
#[derive(Debug)]
pub(crate) struct PreAuthTurns {
    time: Arc<PreAuthTime>,
    /// Who waits for a turn.
    waiting: Mutex<ByAddress<oneshot::Sender<()>>>,
    more: Notify,
    /// Nanoseconds that steps have taken since the last rest.
    spent: AtomicU64,
}

impl PreAuthTurns {
    /// Turns at a part of this time.
    pub(crate) fn new(time: Arc<PreAuthTime>) -> Self {
        Self {
            time,
            waiting: Mutex::default(),
            more: Notify::default(),
            spent: AtomicU64::new(0),
        }
    }

    /// Asks for a turn, which has come when the receiver resolves.
    pub(super) fn ask(&self, address: Network) -> oneshot::Receiver<()> {
        let (turn, receiver) = oneshot::channel();
        self.lock().add(address, turn);
        self.more.notify_one();
        receiver
    }

    /// Notes how long the step of a turn took.
    pub(super) fn took(&self, time: Duration) {
        let nanos = u64::try_from(time.min(LONGEST).as_nanos()).unwrap_or(u64::MAX);
        self.spent.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Gives turns, one after the other. Does not return.
    pub(super) async fn give(&self) {
        loop {
            let next = self.lock().next();
            let Some(turn) = next else {
                self.more.notified().await;
                continue;
            };
            if turn.send(()).is_err() {
                // The client has gone.
                continue;
            }
            // Before this goes on, the runtime takes the step and polls its sockets.
            yield_now().await;
            let spent = Duration::from_nanos(self.spent.swap(0, Ordering::Relaxed));
            let rest = self.time.took(spent, Instant::now());
            if spent.max(rest) >= WORTH {
                sleep(spent.max(rest)).await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, ByAddress<oneshot::Sender<()>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_together_have_half_of_all_cores() {
        let (step, now) = (Duration::from_millis(10), Instant::now());
        let time = PreAuthTime::at(4, now);
        // Each step is half of what four cores have in 5 ms.
        assert_eq!(time.took(step, now), Duration::ZERO);
        assert_eq!(time.took(step, now), Duration::from_millis(5));
        assert_eq!(time.took(step, now), Duration::from_millis(10));
        assert_eq!(time.took(step, now), Duration::from_millis(15));
        let later = now + Duration::from_secs(1);
        assert_eq!(time.took(step, later), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_client_that_has_gone_takes_no_turn() {
        let turns = PreAuthTurns::new(Arc::new(PreAuthTime::new(2)));
        let address = Network::of([192, 0, 2, 1].into());
        drop(turns.ask(address));
        let next = turns.ask(address);
        tokio::select! {
            turn = next => turn.unwrap(),
            () = turns.give() => unreachable!("it does not return"),
        }
    }

    #[tokio::test]
    async fn a_long_step_is_followed_by_a_rest() {
        let turns = PreAuthTurns::new(Arc::new(PreAuthTime::new(2)));
        let address = Network::of([192, 0, 2, 1].into());
        let steps = async {
            for _ in 0..4 {
                turns.ask(address).await.unwrap();
                turns.took(Duration::from_millis(2));
            }
        };
        let begun = tokio::time::Instant::now();
        // A step is taken before the next turn is given, as the runtime has it.
        tokio::select! {
            biased;
            () = steps => {}
            () = turns.give() => {}
        }
        assert!(
            begun.elapsed() >= Duration::from_millis(6),
            "{:?}",
            begun.elapsed()
        );
    }
}
