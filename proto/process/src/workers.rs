//! Threads with a single-threaded runtime each, one a core. A connection stays on one of them, and so
//! does all that its sessions touch: a keystroke is served several times faster than by a shared pool.

use std::io;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, error::TrySendError};

/// How many items may wait for a busy worker.
const BACKLOG: usize = 128;

/// Tasks that run before sockets are polled again. A transfer's task runs long, and a keystroke should
/// not wait for many of them.
const EVENT_INTERVAL: u32 = 7;

/// How many threads are started if the configuration does not say. A node with many cores runs other
/// programs too, and each thread has connections of its own.
const MOST: usize = 8;

/// The default number of threads: one a core. With few cores, more threads shorten a shell's wait
/// beside transfers, but each thread keeps memory of its own after a transfer.
pub fn default() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST))
}

/// Threads that serve items of one kind.
#[derive(Debug)]
pub struct Workers<T> {
    inboxes: Vec<mpsc::Sender<T>>,
    threads: Vec<thread::JoinHandle<()>>,
    runtimes: Vec<Handle>,
    next: usize,
}

impl<T: Send + 'static> Workers<T> {
    /// Starts `count` threads. Each calls `serve` and runs its future to the end. The receiver ends when
    /// the workers are [finished](Self::finish).
    pub fn start<F: Future<Output = ()>>(
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
    pub fn runtimes(&self) -> Vec<Handle> {
        self.runtimes.clone()
    }

    /// Gives an item to the next worker in turn that has room, and waits if none has.
    pub async fn hand_over(&mut self, mut item: T) {
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
            // Fails only if that worker has panicked; its thread has reported that.
            let _ = inbox.send(item).await;
        }
    }

    /// Ends the receivers and waits for the threads.
    pub async fn finish(self) {
        drop(self.inboxes);
        let join = || {
            for thread in self.threads {
                // A panic is printed where it happens.
                let _ = thread.join();
            }
        };
        let _ = tokio::task::spawn_blocking(join).await;
    }
}
