//! Threads with a single-threaded runtime each. A connection stays on one of them, and so does all that its sessions
//! touch: a keystroke is served several times faster than by a shared pool. There are more threads than cores, so that
//! the kernel, and not a queue of ours, decides between a keystroke and a transfer.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::allocator;
use crate::pace::{self, Pace};

/// How many items may wait for a busy worker.
const BACKLOG: usize = 128;

/// Tasks that run before sockets are polled again. A transfer's task runs long, and a keystroke should
/// not wait for many of them.
const EVENT_INTERVAL: u32 = 7;

/// How many threads are started if the configuration does not say. With as many as cores, shells wait several times
/// longer beside transfers; 64 are little better.
const THREADS: usize = 16;

/// How often it is looked which threads are busy.
const LOOK: Duration = Duration::from_millis(100);

/// A thread is busy that has run for more than one part in so many of the time since the last look.
const BUSY: u32 = 4;

/// The default number of threads.
pub fn default() -> usize {
    THREADS
}

thread_local! {
    static PACE: RefCell<Pace> = RefCell::new(Pace::new());
}

/// Looks whether the calling thread serves shells or moves transfers.
fn look(has_run: &Notify) {
    if PACE.with_borrow_mut(Pace::look) {
        has_run.notify_one();
    }
}

/// Gives the calling thread's free memory back, whenever it has run and is quiet again. Only then is it
/// woken for that.
async fn give_back(has_run: &Notify) -> Infallible {
    loop {
        has_run.notified().await;
        loop {
            tokio::time::sleep(pace::QUIET).await;
            if PACE.with_borrow_mut(Pace::is_quiet) {
                break;
            }
        }
        allocator::give_back();
    }
}

/// Threads that serve items of one kind.
#[derive(Debug)]
pub struct Workers<T> {
    workers: Vec<Worker<T>>,
    threads: Vec<thread::JoinHandle<()>>,
    looked: Instant,
}

#[derive(Debug)]
struct Worker<T> {
    inbox: mpsc::Sender<T>,
    runtime: Handle,
    /// For how long it had run at the last look.
    ran: Duration,
    busy: bool,
}

impl<T> Worker<T> {
    /// What runs on it, and what waits for it.
    fn load(&self) -> usize {
        let waiting = self.inbox.max_capacity() - self.inbox.capacity();
        waiting + self.runtime.metrics().num_alive_tasks()
    }

    fn look(&mut self, since: Duration) {
        let ran = self.runtime.metrics().worker_total_busy_duration(0);
        self.busy = ran.saturating_sub(self.ran) > since / BUSY;
        self.ran = ran;
    }
}

impl<T: Send + 'static> Workers<T> {
    /// Starts `count` threads. Each calls `serve` and runs its future to the end. The receiver ends when
    /// the workers are [finished](Self::finish).
    pub fn start<F: Future<Output = ()>>(
        count: usize,
        serve: impl Fn(mpsc::Receiver<T>) -> F + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let mut this = Self {
            workers: Vec::new(),
            threads: Vec::new(),
            looked: Instant::now(),
        };
        for index in 0..count.max(1) {
            let has_run = Arc::new(Notify::new());
            let hook = || {
                let has_run = Arc::clone(&has_run);
                move || look(&has_run)
            };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .event_interval(EVENT_INTERVAL)
                .on_thread_park(hook())
                .on_thread_unpark(hook())
                .build()?;
            let handle = runtime.handle().clone();
            let (inbox, items) = mpsc::channel(BACKLOG);
            let serve = serve.clone();
            let thread = thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    // Its time counts from here.
                    PACE.with_borrow_mut(Pace::look);
                    runtime.block_on(async {
                        tokio::select! {
                            () = serve(items) => {}
                            never = give_back(&has_run) => match never {},
                        }
                    });
                })?;
            this.workers.push(Worker {
                inbox,
                runtime: handle,
                ran: Duration::ZERO,
                busy: false,
            });
            this.threads.push(thread);
        }
        Ok(this)
    }

    /// Each thread's runtime.
    pub fn runtimes(&self) -> Vec<Handle> {
        let runtimes = self.workers.iter().map(|worker| worker.runtime.clone());
        runtimes.collect()
    }

    /// Gives an item to a worker that was not busy lately, and of these to the one with the least to do. Of those that
    /// are equal it is always the first, which has its connections to others already. Waits if none has room.
    pub async fn hand_over(&mut self, mut item: T) {
        let since = self.looked.elapsed();
        if since >= LOOK {
            self.looked = Instant::now();
            for worker in &mut self.workers {
                worker.look(since);
            }
        }
        let mut workers: Vec<_> = self.workers.iter().collect();
        workers.sort_by_cached_key(|worker| (worker.busy, worker.load()));
        for worker in &workers {
            match worker.inbox.try_send(item) {
                Ok(()) => return,
                Err(TrySendError::Full(back) | TrySendError::Closed(back)) => item = back,
            }
        }
        if let Some(worker) = workers.first() {
            // Fails only if that worker has panicked; its thread has reported that.
            let _ = worker.inbox.send(item).await;
        }
    }

    /// Ends the receivers and waits for the threads.
    pub async fn finish(self) {
        drop(self.workers);
        let join = || {
            for thread in self.threads {
                // A panic is printed where it happens.
                let _ = thread.join();
            }
        };
        let _ = tokio::task::spawn_blocking(join).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocator::tests::{MIB, resident};

    #[tokio::test]
    async fn a_thread_that_is_quiet_again_keeps_no_free_memory() {
        let (filled, mut buffers) = mpsc::channel(1);
        let mut workers = Workers::start(1, move |mut items: mpsc::Receiver<Duration>| {
            let filled = filled.clone();
            async move {
                while let Some(computes) = items.recv().await {
                    let until = pace::ran() + computes;
                    while pace::ran() < until {}
                    let buffers: Vec<_> = (0..1024).map(|_| vec![1_u8; 64 * 1024]).collect();
                    filled.send(buffers).await.unwrap();
                }
            }
        });
        let workers = workers.as_mut().unwrap();
        let before = resident();
        workers.hand_over(Duration::from_millis(300)).await;
        drop(buffers.recv().await.unwrap());
        assert!(resident() > before + 56 * MIB);
        let begun = Instant::now();
        while resident() > before + 8 * MIB {
            assert!(begun.elapsed() < Duration::from_secs(30), "it stays");
            tokio::time::sleep(LOOK).await;
        }
    }
}
