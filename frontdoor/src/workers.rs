//! One single-threaded runtime a core, each connection pinned to one: all that a session touches
//! stays on its core, which makes a keystroke's way several times shorter than on a shared pool.

use std::io;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, error::TrySendError};

/// Items that wait for a busy worker, at the most.
const BACKLOG: usize = 128;

/// Tasks that run before sockets are looked at again: those of transfers run long, and a keystroke
/// should not wait for many.
const EVENT_INTERVAL: u32 = 7;

/// The most threads that are started unasked: nodes of many cores run other things, too, and each
/// thread has connections of its own.
const MOST: usize = 8;

/// As many threads as there are cores. More of them shorten a shell's wait beside transfers on few
/// cores, but each keeps memory of its own after bulk.
pub(crate) fn default() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST))
}

/// Threads that serve items of one kind.
#[derive(Debug)]
pub(crate) struct Workers<T> {
    inboxes: Vec<mpsc::Sender<T>>,
    threads: Vec<thread::JoinHandle<()>>,
    runtimes: Vec<Handle>,
    next: usize,
}

impl<T: Send + 'static> Workers<T> {
    /// Starts `count` threads. Each makes its future by `serve`, on its own runtime, and ends with
    /// it; the receiver ends when the workers are [finished](Self::finish).
    pub(crate) fn start<F: Future<Output = ()>>(
        count: usize,
        serve: impl Fn(mpsc::Receiver<T>) -> F + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let mut this = Self {
            inboxes: Vec::new(),
            threads: Vec::new(),
            runtimes: Vec::new(),
            next: 0,
        };
        for index in 0..count.max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .event_interval(EVENT_INTERVAL)
                .build()?;
            this.runtimes.push(runtime.handle().clone());
            let (inbox, items) = mpsc::channel(BACKLOG);
            let serve = serve.clone();
            let thread = thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || runtime.block_on(serve(items)))?;
            this.inboxes.push(inbox);
            this.threads.push(thread);
        }
        Ok(this)
    }

    /// Each thread's runtime.
    pub(crate) fn runtimes(&self) -> Vec<Handle> {
        self.runtimes.clone()
    }

    /// Gives an item to the next worker in turn that has room; waits where none has.
    pub(crate) async fn hand_over(&mut self, mut item: T) {
        for _ in 0..self.inboxes.len() {
            self.next = (self.next + 1) % self.inboxes.len();
            let Some(inbox) = self.inboxes.get(self.next) else {
                return;
            };
            match inbox.try_send(item) {
                Ok(()) => return,
                Err(TrySendError::Full(back) | TrySendError::Closed(back)) => item = back,
            }
        }
        if let Some(inbox) = self.inboxes.get(self.next) {
            // A worker ends before this only by a panic, which its thread has reported.
            let _ = inbox.send(item).await;
        }
    }

    /// Ends the receivers and waits for the threads.
    pub(crate) async fn finish(self) {
        drop(self.inboxes);
        let join = || {
            for thread in self.threads {
                // A panic was printed where it happened.
                let _ = thread.join();
            }
        };
        let _ = tokio::task::spawn_blocking(join).await;
    }
}
