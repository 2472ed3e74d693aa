//! A thread for blocking file calls, so that a file system that stalls holds up no thread that serves
//! sessions. Calls run one after another, in the order in which they were made.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// How long a caller waits for a call, at most.
const LIMIT: Duration = Duration::from_secs(2);
/// How many calls with a waiting caller may be queued; they hold data. Further callers wait before they
/// queue theirs.
const CALLS: usize = 16;
/// All calls that may be queued, with and without a waiting caller. Those without are small.
const QUEUE: usize = 4096;

type Call = Box<dyn FnOnce() + Send>;

/// The file system stalls: the call has not ended, and may still be done later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file system does not answer")]
pub struct Stalled;

/// A thread that makes file calls for others. It ends once this is dropped and its calls are done.
#[derive(Debug)]
pub struct FileThread {
    calls: SyncSender<Call>,
    permits: Arc<Semaphore>,
    /// True after a caller has given up on a call, until a call ends. Meanwhile callers do not wait.
    stalled: Arc<AtomicBool>,
}

impl FileThread {
    /// Starts the thread. `name` is what tools show.
    pub fn start(name: &str) -> io::Result<Self> {
        let (calls, queue) = mpsc::sync_channel::<Call>(QUEUE);
        let stalled = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&stalled);
        let run = move || {
            while let Ok(call) = queue.recv() {
                call();
                over.store(false, Ordering::Relaxed);
            }
        };
        // It is not joined: it may hang in a call.
        thread::Builder::new().name(name.to_owned()).spawn(run)?;
        let permits = Arc::new(Semaphore::new(CALLS));
        Ok(Self {
            calls,
            permits,
            stalled,
        })
    }

    /// Makes a call, and waits for its result for a bounded time. A queued call is made even if its
    /// caller has given up.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stalled> {
        let (tell, told) = oneshot::channel();
        if self.stalled.load(Ordering::Relaxed) {
            let permit = Arc::clone(&self.permits).try_acquire_owned();
            let permit = permit.map_err(|_| Stalled)?;
            self.queue(move || drop((call(), permit)))?;
            return Err(Stalled);
        }
        let done = async {
            let permit = Arc::clone(&self.permits).acquire_owned().await;
            let permit = permit.map_err(|_| Stalled)?;
            // The receiver may have given up.
            self.queue(move || drop((tell.send(call()), permit)))?;
            told.await.map_err(|_| Stalled)
        };
        timeout(LIMIT, done).await.unwrap_or_else(|_| {
            self.stalled.store(true, Ordering::Relaxed);
            Err(Stalled)
        })
    }

    /// Queues a call and does not wait. The call should hold little memory.
    pub fn queue(&self, call: impl FnOnce() + Send + 'static) -> Result<(), Stalled> {
        match self.calls.try_send(Box::new(call)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Stalled),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn callers_wait_once_for_a_call_that_stalls_and_order_is_kept() {
        let thread = FileThread::start("files").unwrap();
        assert_eq!(thread.run(|| 1).await, Ok(1));
        let (go_on, goes_on) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let (first, second) = (tell.clone(), tell);
        let stalls = move || {
            let _ = goes_on.recv();
            first.send("first").unwrap();
        };
        assert_eq!(thread.run(stalls).await, Err(Stalled));
        // Nobody waits for it now, and it is made all the same.
        let soon = timeout(
            LIMIT / 2,
            thread.run(move || second.send("second").unwrap()),
        );
        assert_eq!(soon.await, Ok(Err(Stalled)));
        let full = (0..CALLS).try_for_each(|_| thread.queue(|| ()));
        assert_eq!(full, Ok(()));
        drop(go_on);
        assert_eq!(told.recv(), Ok("first"));
        assert_eq!(told.recv(), Ok("second"));
    }
}
