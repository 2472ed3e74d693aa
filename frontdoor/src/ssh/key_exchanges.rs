//! Computes the first key exchange of each connection, apart from the threads that serve sessions. Half as many threads
//! as cores do this, with a lower priority than theirs. Addresses take turns.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use podgate_process::network::Network;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::by_address::ByAddress;

/// The threads' nice value (nice(2)). Of a core that both want, a session gets nine times as much.
const NICE: i32 = 10;

/// An exchange that is to be computed.
struct Exchange {
    compute: Box<dyn FnOnce() + Send>,
    /// Dropped once it is computed. Closed when nobody waits for it any more.
    done: oneshot::Sender<()>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

/// The threads, and what waits for them: of each connection one exchange at most.
#[derive(Debug)]
pub(crate) struct KeyExchanges {
    /// None once they end. Only its threads for blocking work are used.
    threads: Option<Runtime>,
    waiting: Arc<Mutex<ByAddress<Exchange>>>,
}

impl KeyExchanges {
    /// # Errors
    /// The operating system's.
    pub(crate) fn start(cores: usize) -> io::Result<Self> {
        let lower = || {
            if let Err(error) = rustix::process::setpriority_process(None, NICE) {
                tracing::warn!(%error, "key exchanges have the same priority as sessions");
            }
        };
        let threads = Builder::new_current_thread()
            .max_blocking_threads((cores / 2).max(1))
            .thread_name("key-exchange")
            .on_thread_start(lower)
            .build()?;
        Ok(Self {
            threads: Some(threads),
            waiting: Arc::default(),
        })
    }

    #[cfg_attr(
        stock_russh,
        allow(dead_code, reason = "the published russh computes them itself")
    )]
    /// Runs `compute` for a client at this address, or drops it when the frontdoor ends.
    pub(super) async fn compute(&self, address: Network, compute: Box<dyn FnOnce() + Send>) {
        let Some(threads) = &self.threads else {
            return;
        };
        let (done, is_done) = oneshot::channel();
        lock(&self.waiting).add(address, Exchange { compute, done });
        let waiting = Arc::clone(&self.waiting);
        // Not this exchange, but the one whose turn it is. There are as many of these as of exchanges.
        threads.spawn_blocking(move || {
            let next = lock(&waiting).next();
            if let Some(Exchange { compute, done }) = next
                && !done.is_closed()
            {
                compute();
            }
        });
        // Ends with an error, since nothing is sent.
        let _ = is_done.await;
    }
}

impl Drop for KeyExchanges {
    /// A runtime that is dropped would wait for its threads.
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

fn lock(waiting: &Mutex<ByAddress<Exchange>>) -> MutexGuard<'_, ByAddress<Exchange>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Addresses in a network each.
    fn address(last: u8) -> Network {
        Network::of([192, 0, 2, last].into())
    }

    /// One thread, which waits until the sender is dropped.
    fn held() -> (Arc<KeyExchanges>, mpsc::Sender<()>) {
        let exchanges = Arc::new(KeyExchanges::start(2).unwrap());
        let (hold, held) = mpsc::channel::<()>();
        let runtime = exchanges.threads.as_ref().unwrap();
        runtime.spawn_blocking(move || held.recv());
        (exchanges, hold)
    }

    #[tokio::test]
    async fn addresses_take_turns() {
        let (exchanges, hold) = held();
        let (computed, order) = mpsc::channel();
        let compute = |last| {
            let computed = computed.clone();
            let compute = Box::new(move || computed.send(last).unwrap());
            exchanges.compute(address(last), compute)
        };
        let all = async { tokio::join!(compute(1), compute(1), compute(1), compute(2)) };
        let release = async { drop(hold) };
        tokio::join!(biased; all, release);
        assert_eq!(order.try_iter().collect::<Vec<_>>(), [1, 2, 1, 1]);
    }

    #[tokio::test]
    async fn nothing_is_computed_for_a_connection_that_has_gone() {
        let (exchanges, hold) = held();
        let (computed, order) = mpsc::channel();
        let gone = computed.clone();
        let gone = exchanges.compute(address(1), Box::new(move || gone.send("gone").unwrap()));
        let still = exchanges.compute(address(1), Box::new(move || computed.send("still").unwrap()));
        tokio::select! {
            biased;
            () = gone => unreachable!("the thread is held"),
            () = async {} => {}
        }
        drop(hold);
        still.await;
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["still"]);
    }

    #[tokio::test]
    async fn sessions_go_first() {
        let exchanges = KeyExchanges::start(2).unwrap();
        let (tell, told) = mpsc::channel();
        let compute = move || {
            let nice = rustix::process::getpriority_process(None);
            tell.send(nice.unwrap()).unwrap();
        };
        exchanges.compute(address(1), Box::new(compute)).await;
        assert_eq!(told.recv().unwrap(), NICE);
    }
}
