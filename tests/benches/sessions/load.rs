//! Sessions that move as many bytes as they can, two each way, until they are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use podgate_tests::instruments::client::{Connection, Login};
use podgate_tests::instruments::direct::Direct;
use podgate_tests::instruments::load::{Load, under_way};
use podgate_tests::instruments::program::{Input, Output, Program};
use tokio::task::JoinSet;

const CHUNK: usize = 32 * 1024;
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

/// Starts it. Returns when bytes move.
pub(crate) async fn start(by: By) -> Result<Load> {
    Load::start(|moved| run(by, moved)).await
}

async fn run(by: By, moved: Arc<AtomicU64>) -> Result<()> {
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
