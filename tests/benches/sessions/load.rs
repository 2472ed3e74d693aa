//! Sessions that move as many bytes as they can, two each way, until they are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use podgate_tests::instruments::client::{Connection, Login};
use podgate_tests::instruments::direct::Direct;
use podgate_tests::instruments::program::{Input, Output, Program};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const CHUNK: usize = 32 * 1024;
/// How many bytes must have moved before a load counts as started.
const UNDER_WAY: u64 = 8 << 20;
const DOWN: &str = "exec cat /dev/zero";
/// It keeps its stdout, because otherwise the runtime would end its stdin (containerd #13934).
const UP: &str = "exec 3>&1; exec dd of=/dev/null bs=65536";

/// What each session runs, and whether it moves bytes down. Connections go to the frontdoor's cores in
/// turn: of two cores, each has one of either kind.
const SESSIONS: [(&str, bool); 4] = [(DOWN, true), (DOWN, true), (UP, false), (UP, false)];

/// How the sessions of a load reach the pod.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub(crate) enum By {
    /// Each on an SSH connection of its own.
    Ssh(Login),
    /// Each straight at the kubelet.
    Kubelet(Direct),
}

/// A load whose clients have a thread of their own.
pub(crate) struct Load {
    stop: CancellationToken,
    moved: Arc<AtomicU64>,
    begun: Instant,
    thread: JoinHandle<Result<()>>,
}

impl Load {
    /// Starts it. Returns when bytes move.
    pub(crate) async fn start(by: By) -> Result<Self> {
        let (stop, moved) = (CancellationToken::new(), Arc::default());
        let (started, under_way) = oneshot::channel();
        let (token, count) = (stop.clone(), Arc::clone(&moved));
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                tokio::select! {
                    ended = run(by, count, started) => ended,
                    () = token.cancelled() => Ok(()),
                }
            })
        });
        if under_way.await.is_err() {
            // A load never ends by itself.
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

    /// Ends it. Returns MiB a second of all sessions together.
    pub(crate) async fn end(self) -> Result<f64> {
        let mib = self.moved.load(Ordering::Relaxed) as f64 / f64::from(1 << 20);
        let rate = mib / self.begun.elapsed().as_secs_f64();
        self.stop.cancel();
        let join = tokio::task::spawn_blocking(move || self.thread.join());
        join.await?.map_err(|_| anyhow!("a load panicked"))??;
        Ok(rate)
    }
}

async fn run(by: By, moved: Arc<AtomicU64>, started: oneshot::Sender<()>) -> Result<()> {
    let mut tasks = JoinSet::new();
    // They live as long as the load.
    let mut connections = Vec::new();
    for (command, down) in SESSIONS {
        let moved = Arc::clone(&moved);
        match &by {
            By::Kubelet(direct) => {
                let program = direct.exec(command, false).await?;
                tasks.spawn(keep(program, down, moved));
            }
            By::Ssh(login) => {
                let connection = login.connect().await?;
                let program = connection.exec(command).await?;
                connections.push(connection);
                tasks.spawn(keep(program, down, moved));
            }
        }
    }
    under_way(&moved).await;
    let _ = started.send(());
    match tasks.join_next().await {
        Some(ended) => ended?,
        None => Ok(()),
    }
}

/// The same, on one connection, in the caller's own thread; ends when the set is dropped.
pub(crate) async fn on(connection: &Connection) -> Result<JoinSet<Result<()>>> {
    let moved = Arc::<AtomicU64>::default();
    let mut tasks = JoinSet::new();
    for (command, down) in SESSIONS {
        let program = connection.exec(command).await?;
        tasks.spawn(keep(program, down, Arc::clone(&moved)));
    }
    under_way(&moved).await;
    Ok(tasks)
}

async fn under_way(moved: &AtomicU64) {
    while moved.load(Ordering::Relaxed) < UNDER_WAY {
        tokio::task::yield_now().await;
    }
}

async fn keep<I: Input, O: Output>(
    mut program: Program<I, O>,
    down: bool,
    moved: Arc<AtomicU64>,
) -> Result<()> {
    let chunk = Bytes::from(vec![0; CHUNK]);
    loop {
        let length = if down {
            let bytes = program.output.next().await?;
            bytes.ok_or_else(|| anyhow!("a load ended"))?.len()
        } else {
            program.input.write(chunk.clone()).await?;
            chunk.len()
        };
        moved.fetch_add(length as u64, Ordering::Relaxed);
    }
}
