//! The node helper's client. The helper is the one privileged part of a node. Each question is a
//! connection of its own, so only a question under way notices a restart of the helper.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use podgate_helper::protocol::{
    Answer, By, Candidate, ContainerId, HungUp, MAX_LINE, Process, Request, Signal,
};

/// How long an answer may take: the helper looks through all processes of the node.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the helper did not help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the node helper cannot be reached: {0}")]
    Io(#[from] io::Error),
    #[error("no answer from the node helper within {ANSWER_TIMEOUT:?}")]
    Timeout,
    #[error(
        "the node helper's socket belongs to user {0}, who is neither root nor the agent's user"
    )]
    Peer(u32),
    #[error("the node helper's answer cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the node helper: {0}")]
    Failed(String),
    #[error("the node helper gave an unexpected answer")]
    OtherAnswer,
}

/// The helper behind a socket.
#[derive(Debug)]
pub(crate) struct Node {
    socket: PathBuf,
}

impl Node {
    /// The helper that listens there, whenever it is asked.
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Processes that may be the leader of a session.
    pub(crate) async fn find(
        &self,
        container: &ContainerId,
        by: By,
    ) -> Result<Vec<Candidate>, Error> {
        let container = container.clone();
        match self.ask(&Request::Find { container, by }).await? {
            Answer::Found { candidates } => Ok(candidates),
            _ => Err(Error::OtherAnswer),
        }
    }

    /// Whether anything runs in a container.
    pub(crate) async fn runs(&self, container: &ContainerId) -> Result<bool, Error> {
        let container = container.clone();
        Ok(self.done(&Request::Count { container }).await? > 0)
    }

    /// Signals a session's foreground; how many processes it reached.
    pub(crate) async fn signal(&self, leader: &Process, signal: Signal) -> Result<usize, Error> {
        let leader = leader.clone();
        self.done(&Request::Signal { leader, signal }).await
    }

    /// SIGHUP and SIGCONT; `None` if the leader is no more.
    pub(crate) async fn hang_up(&self, leader: &Process) -> Result<Option<HungUp>, Error> {
        let leader = leader.clone();
        match self.ask(&Request::HangUp { leader }).await? {
            Answer::HungUp { hung_up } => Ok(Some(hung_up)),
            Answer::Gone => Ok(None),
            _ => Err(Error::OtherAnswer),
        }
    }

    /// Kills what a hang-up has left. Returns how many processes that were.
    pub(crate) async fn kill(&self, leader: &Process, hung_up: HungUp) -> Result<usize, Error> {
        let leader = leader.clone();
        self.done(&Request::Kill { leader, hung_up }).await
    }

    async fn done(&self, request: &Request) -> Result<usize, Error> {
        match self.ask(request).await? {
            Answer::Done { processes } => Ok(processes),
            Answer::Gone => Ok(0),
            _ => Err(Error::OtherAnswer),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Answer, Error> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let exchange = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            let peer = stream.peer_cred()?.uid();
            if peer != 0 && peer != rustix::process::geteuid().as_raw() {
                return Err(Error::Peer(peer));
            }
            stream.write_all(&line).await?;
            let mut answer = Vec::new();
            let mut bounded = stream.take(MAX_LINE as u64);
            bounded.read_to_end(&mut answer).await?;
            Ok(answer)
        };
        let answer = timeout(ANSWER_TIMEOUT, exchange)
            .await
            .map_err(|_| Error::Timeout)??;
        match serde_json::from_slice(&answer)? {
            Answer::Failed { reason } => Err(Error::Failed(reason)),
            answer => Ok(answer),
        }
    }
}
