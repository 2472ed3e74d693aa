//! Computes the first key exchange of each connection, apart from the threads that serve sessions. One thread for every
//! two cores does this, with a lower priority than theirs. Addresses take turns.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use podgate_process::network::Network;
use podgate_process::slice::{self, Work};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

use super::by_address::ByAddress;

/// The threads' nice value (nice(2)). Of a core that both want, a session's thread gets three times as much. With less for
/// these threads, a login beside transfers on all cores would take too long.
const NICE: i32 = 5;

/// How long a thread lives that has nothing to do. What it has allocated belongs to connections, so threads should not
/// come and go with them.
const IDLE: Duration = Duration::from_secs(24 * 60 * 60);

/// An exchange that is to be computed.
struct Exchange {
    compute: Box<dyn FnOnce() + Send>,
    /// Dropped once it is computed. Closed when the connection has ended.
    done: oneshot::Sender<()>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

/// The threads, and what waits for them. A connection that has ended is passed over.
#[derive(Debug)]
pub(crate) struct KeyExchanges {
    threads: Handle,
    /// None once they end. Only its threads for blocking work are used.
    runtime: Option<Runtime>,
    waiting: Arc<Mutex<ByAddress<Exchange>>>,
}

impl KeyExchanges {
    /// Threads for a machine of this many cores. They start as they are needed.
    ///
    /// # Errors
    /// When the runtime around them cannot be made.
    pub(crate) fn new(cores: usize) -> io::Result<Self> {
        let lower = || {
            // What it has of the thread that starts it is a shell's slice.
            let told = slice::tell(Work::Transfers);
            let lowered = slice::lower(NICE);
            if let Err(error) = told.and(lowered) {
                tracing::warn!(%error, "key exchanges have the same priority as sessions");
            }
        };
        let runtime = Builder::new_current_thread()
            .max_blocking_threads((cores / 2).max(1))
            .thread_name("key-exchange")
            .thread_keep_alive(IDLE)
            .on_thread_start(lower)
            .build()?;
        Ok(Self {
            threads: runtime.handle().clone(),
            runtime: Some(runtime),
            waiting: Arc::default(),
        })
    }

    /// Runs `compute` in the turn of a client's address.
    #[cfg_attr(
        stock_russh,
        allow(dead_code, reason = "the published russh computes them itself")
    )]
    pub(super) async fn compute(&self, address: Network, compute: Box<dyn FnOnce() + Send>) {
        let (done, is_done) = oneshot::channel();
        lock(&self.waiting).add(address, Exchange { compute, done });
        let waiting = Arc::clone(&self.waiting);
        // Computes the exchange whose turn it is, which may be another. There is one such job for each exchange.
        self.threads.spawn_blocking(move || {
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
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
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
        let exchanges = Arc::new(KeyExchanges::new(2).unwrap());
        let (hold, held) = mpsc::channel::<()>();
        exchanges.threads.spawn_blocking(move || held.recv());
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
        let still = exchanges.compute(
            address(1),
            Box::new(move || computed.send("still").unwrap()),
        );
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
    async fn one_that_panics_costs_only_itself() {
        let exchanges = KeyExchanges::new(2).unwrap();
        let panics = Box::new(|| panic!("on purpose"));
        exchanges.compute(address(1), panics).await;
        let (computed, order) = mpsc::channel();
        let compute = Box::new(move || computed.send(()).unwrap());
        exchanges.compute(address(1), compute).await;
        assert_eq!(order.recv(), Ok(()));
    }

    #[tokio::test]
    async fn sessions_go_first() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let own = nice();
        // As on a thread that serves shells.
        slice::tell(Work::Shells).unwrap();
        let exchanges = KeyExchanges::new(2).unwrap();
        let (tell, told) = mpsc::channel();
        let compute = move || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // Field 41 (proc(5)); the third follows the name in parentheses.
            let policy = stat.rsplit_once(") ").unwrap().1.split(' ').nth(38);
            tell.send((nice(), policy.unwrap().to_owned())).unwrap();
        };
        exchanges.compute(address(1), Box::new(compute)).await;
        const BATCH: &str = "3";
        assert_eq!(told.recv(), Ok((NICE.max(own), BATCH.to_owned())));
    }
}
