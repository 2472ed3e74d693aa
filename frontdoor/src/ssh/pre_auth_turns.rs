//! Turns at a core's time for clients that have not logged in. Work for them takes at most half of the
//! core's time, and a session waits for at most one step of it. Addresses take turns, so an address
//! with many connections delays another by one step each.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use podgate_process::network::Network;
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;
use tokio::time::sleep;

/// A step that took less than this is not worth a rest, which takes a millisecond or more.
const WORTH: Duration = Duration::from_micros(100);
/// No step computes for longer. A longer one has waited for something.
const LONGEST: Duration = Duration::from_millis(5);

/// The turns of one core.
#[derive(Debug, Default)]
pub(crate) struct PreAuthTurns {
    waiting: Mutex<Waiting>,
    more: Notify,
    /// Nanoseconds that steps have taken since the last rest.
    spent: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Addresses in the order of their next turns.
    order: VecDeque<Network>,
    /// Who waits. An entry for each address in `order`.
    clients: HashMap<Network, VecDeque<oneshot::Sender<()>>>,
}

impl Waiting {
    fn add(&mut self, address: Network) -> oneshot::Receiver<()> {
        let (turn, receiver) = oneshot::channel();
        let clients = self.clients.entry(address).or_default();
        if clients.is_empty() {
            self.order.push_back(address);
        }
        clients.push_back(turn);
        receiver
    }

    /// The next client that still waits.
    fn next(&mut self) -> Option<oneshot::Sender<()>> {
        loop {
            let address = self.order.pop_front()?;
            let clients = self.clients.get_mut(&address)?;
            let turn = clients.pop_front();
            if clients.is_empty() {
                self.clients.remove(&address);
            } else {
                self.order.push_back(address);
            }
            if let Some(turn) = turn.filter(|turn| !turn.is_closed()) {
                return Some(turn);
            }
        }
    }
}

impl PreAuthTurns {
    /// Asks for a turn, which has come when the receiver resolves.
    pub(super) fn ask(&self, address: Network) -> oneshot::Receiver<()> {
        let turn = self.lock().add(address);
        self.more.notify_one();
        turn
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
            let _ = turn.send(());
            // Before this goes on, the runtime takes the step and polls its sockets.
            yield_now().await;
            let spent = Duration::from_nanos(self.spent.swap(0, Ordering::Relaxed));
            if spent >= WORTH {
                sleep(spent).await;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_turns() {
        let mut waiting = Waiting::default();
        let address = |last: u8| Network::of([192, 0, 2, last].into());
        let mut all: Vec<_> = [1, 1, 1, 2, 3, 2]
            .into_iter()
            .map(|last| (last, waiting.add(address(last))))
            .collect();
        // This client has gone meanwhile.
        drop(all.remove(1));
        let mut order = Vec::new();
        while let Some(turn) = waiting.next() {
            turn.send(()).unwrap();
            let come = all.iter_mut().position(|(_, turn)| turn.try_recv().is_ok());
            order.push(all.remove(come.unwrap()).0);
        }
        assert_eq!(order, [1, 2, 3, 2, 1]);
        assert!(waiting.order.is_empty() && waiting.clients.is_empty());
    }

    #[tokio::test]
    async fn a_long_step_is_followed_by_a_rest() {
        let turns = PreAuthTurns::default();
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
