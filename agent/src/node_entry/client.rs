//! What asks the node entry, on any core.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use podgate_node_entry::ids::Handle;
use podgate_node_entry::launch::Launch;
use podgate_node_entry::protocol::{Action, Answer, Signal};
use prometheus_client::metrics::gauge::Gauge;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::connection::{Ask, Connection, Reply};
use super::error::Error;
use super::held::Held;

/// Requests that wait to be sent.
const QUEUE: usize = 64;
/// For the answer to a signal: the entry looks through all processes of the node.
const SIGNAL: Duration = Duration::from_secs(5);

/// The entry behind a socket.
#[derive(Debug)]
pub(crate) struct NodeEntry {
    asks: mpsc::Sender<Ask>,
    pub(super) held: Arc<Held>,
    /// Until a core stays connected.
    connection: Mutex<Option<Connection>>,
}

/// A launch as the entry takes it.
pub(crate) fn sealed(launch: &Launch) -> Result<OwnedFd, Error> {
    let bytes = launch.encode()?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Where the node wants it said that it is no program. Kernels before 6.3 do not know the flag.
    let made = memfd_create("launch", flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| memfd_create("launch", flags));
    let mut file = File::from(made.map_err(std::io::Error::from)?);
    file.write_all(&bytes)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&file, seals).map_err(std::io::Error::from)?;
    Ok(file.into())
}

impl NodeEntry {
    /// The entry that listens there; `there` is 1 while it is connected.
    pub(crate) fn new(socket: PathBuf, there: Gauge) -> Arc<Self> {
        let (asks, queue) = mpsc::channel(QUEUE);
        let held = Arc::new(Held::default());
        let connection = Connection {
            socket,
            asks: queue,
            held: Arc::clone(&held),
            there,
        };
        Arc::new(Self {
            asks,
            held,
            connection: Mutex::new(Some(connection)),
        })
    }

    /// Stays connected until `closed`. The first core that calls it does; nothing can be asked before.
    pub(crate) async fn stay(&self, closed: &CancellationToken) {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(connection) = connection {
            closed.run_until_cancelled(connection.run()).await;
        }
    }

    /// Signals a program; how many processes that reached.
    pub(super) async fn signal(&self, handle: Handle, signal: Signal) -> Result<usize, Error> {
        self.reach(Action::Signal { handle, signal }).await
    }

    /// Hangs a program up; how many processes are left of it. A terminal is closed here before.
    pub(super) async fn hang_up(&self, handle: Handle) -> Result<usize, Error> {
        self.reach(Action::HangUp { handle }).await
    }

    /// Kills what is left of a program's foreground; how many processes that reached.
    pub(super) async fn kill(&self, handle: Handle) -> Result<usize, Error> {
        self.reach(Action::Kill { handle }).await
    }

    async fn reach(&self, action: Action) -> Result<usize, Error> {
        let deadline = Instant::now() + SIGNAL;
        match self.ask(action, Vec::new(), deadline).await?.answer {
            Answer::Reached { processes } => Ok(processes),
            _ => Err(Error::OtherAnswer),
        }
    }

    /// Nothing of a program is to be hung up any more.
    pub(super) fn release(&self, handle: Handle) {
        self.held.release(handle);
    }

    pub(super) async fn ask(
        &self,
        action: Action,
        beside: Vec<OwnedFd>,
        deadline: Instant,
    ) -> Result<Reply, Error> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            action,
            beside,
            answer,
        };
        let asked = async {
            self.asks.send(ask).await.map_err(|_| Error::Absent)?;
            answered.await.unwrap_or(Err(Error::Absent))
        };
        let asked = timeout_at(deadline, asked).await;
        let reply = asked.unwrap_or(Err(Error::Timeout))?;
        match reply.answer {
            Answer::Refused { reason } => Err(reason.into()),
            _ => Ok(reply),
        }
    }
}
