//! A load beside a measurement: clients that move as many bytes as they can, on a thread of their own, so that
//! what measures does not wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Result, anyhow};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How many bytes must have moved before a load counts as started.
const UNDER_WAY: u64 = 8 << 20;

/// A load that runs.
pub struct Load {
    stop: CancellationToken,
    moved: Arc<AtomicU64>,
    begun: Instant,
    thread: JoinHandle<Result<()>>,
}

impl Load {
    /// Starts what counts the bytes that it moves. Returns when bytes move.
    ///
    /// # Errors
    /// When it ends, which a load never does by itself.
    pub async fn start<F>(run: impl FnOnce(Arc<AtomicU64>) -> F + Send + 'static) -> Result<Self>
    where
        F: Future<Output = Result<()>>,
    {
        let (stop, moved) = (CancellationToken::new(), Arc::<AtomicU64>::default());
        let (started, begun) = oneshot::channel();
        let (token, count) = (stop.clone(), Arc::clone(&moved));
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let say = async {
                under_way(&count).await;
                let _ = started.send(());
                std::future::pending().await
            };
            runtime.block_on(async {
                tokio::select! {
                    ended = run(Arc::clone(&count)) => ended,
                    never = say => never,
                    () = token.cancelled() => Ok(()),
                }
            })
        });
        if begun.await.is_err() {
            let ended = thread.join().map_err(|_| anyhow!("a load panicked"))?;
            return Err(ended.err().unwrap_or_else(|| anyhow!("a load ended")));
        }
        moved.store(0, Ordering::Relaxed);
        let begun = Instant::now();
        Ok(Self {
            stop,
            moved,
            begun,
            thread,
        })
    }

    /// Ends it. Returns MiB a second of all its clients together.
    ///
    /// # Errors
    /// When it has ended before.
    pub async fn end(self) -> Result<f64> {
        let mib = self.moved.load(Ordering::Relaxed) as f64 / f64::from(1 << 20);
        let rate = mib / self.begun.elapsed().as_secs_f64();
        self.stop.cancel();
        let join = tokio::task::spawn_blocking(move || self.thread.join());
        join.await?.map_err(|_| anyhow!("a load panicked"))??;
        Ok(rate)
    }
}

/// Waits until so many bytes have moved that a load is under way.
pub async fn under_way(moved: &AtomicU64) {
    while moved.load(Ordering::Relaxed) < UNDER_WAY {
        tokio::task::yield_now().await;
    }
}
