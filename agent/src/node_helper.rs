//! The client of the node helper. Each question has a connection of its own, so a restart of the helper
//! affects only questions under way. One more connection keeps the helper from ending before the agent.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics::HelperMetrics;
use podgate_helper::protocol::{
    Answer, Candidate, ContainerId, FindBy, HungUp, MAX_LINE, Process, Request, Signal,
};

/// How long an answer may take: the helper looks through all processes of the node.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before a lost connection to the helper is made again.
const AGAIN: Duration = Duration::from_secs(1);

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
    #[error("the node helper cannot say for sure which processes are the session's")]
    InDoubt,
    #[error("the node helper gave an unexpected answer")]
    OtherAnswer,
}

/// Processes that may lead a session.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) candidates: Vec<Candidate>,
    /// Whether there are other processes that may lead it.
    pub(crate) doubt: bool,
}

#[derive(Debug)]
pub(crate) struct NodeHelper {
    socket: PathBuf,
    metrics: HelperMetrics,
    /// Whether the log says already that it is absent.
    absent: AtomicBool,
}

impl Error {
    /// Whether the helper did not answer, so that nothing was done.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Timeout | Self::Peer(_))
    }
}

impl NodeHelper {
    /// The helper's socket need not be there yet: each question connects anew.
    pub(crate) fn new(socket: PathBuf, metrics: HelperMetrics) -> Self {
        Self {
            socket,
            metrics,
            absent: AtomicBool::new(false),
        }
    }

    /// Counts that the image's own shell does what the helper should do. The log says so once, until
    /// the helper answers again.
    pub(crate) fn replaced(&self, error: &Error) {
        self.metrics.replaced.inc();
        if !self.absent.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "the node helper is absent: images' own shells signal and hang up, and nothing does in images without one"
            );
        }
    }

    /// Stays connected until `closed`, so that the helper does not end before this agent. Follows how
    /// many of its looks at processes hang.
    pub(crate) async fn stay(&self, closed: &CancellationToken) {
        let stay = async {
            loop {
                if let Err(error) = self.follow().await {
                    tracing::debug!(%error, "the node helper is not there");
                }
                self.metrics.hanging.set(0);
                sleep(AGAIN).await;
            }
        };
        closed.run_until_cancelled(stay).await;
    }

    /// Reads what the helper says on one connection, until it ends.
    async fn follow(&self) -> Result<(), Error> {
        let mut stream = BufReader::new(self.connect().await?);
        let request = line(&Request::Stay {})?;
        stream.get_mut().write_all(&request).await?;
        let mut said = Vec::new();
        loop {
            said.clear();
            let mut bounded = (&mut stream).take(MAX_LINE as u64);
            if bounded.read_until(b'\n', &mut said).await? == 0 {
                return Ok(());
            }
            match serde_json::from_slice(&said)? {
                Answer::Looks { hanging } => {
                    let hanging = i64::try_from(hanging).unwrap_or(i64::MAX);
                    let before = self.metrics.hanging.set(hanging);
                    if hanging > before {
                        tracing::warn!(hanging, "looks of the node helper at processes hang");
                    }
                }
                Answer::Failed { reason } => return Err(Error::Failed(reason)),
                _ => return Err(Error::OtherAnswer),
            }
        }
    }

    /// Processes that may be the leader of a session.
    pub(crate) async fn find(&self, container: &ContainerId, by: FindBy) -> Result<Found, Error> {
        let container = container.clone();
        match self.ask(&Request::Find { container, by }).await? {
            Answer::Found { candidates, doubt } => Ok(Found { candidates, doubt }),
            _ => Err(Error::OtherAnswer),
        }
    }

    /// Whether anything runs in a container.
    pub(crate) async fn runs(&self, container: &ContainerId) -> Result<bool, Error> {
        let container = container.clone();
        Ok(self.done(&Request::Count { container }).await? > 0)
    }

    /// Signals a session's foreground. Returns how many processes it reached.
    pub(crate) async fn signal(&self, leader: &Process, signal: Signal) -> Result<usize, Error> {
        let leader = leader.clone();
        self.done(&Request::Signal { leader, signal }).await
    }

    /// Sends SIGHUP and SIGCONT. `None` if the leader is gone and has left nothing. What it has left is
    /// recognized by the session's mark, or by when the leader was last seen.
    pub(crate) async fn hang_up(
        &self,
        leader: &Process,
        session: Option<String>,
        seen: Option<u64>,
    ) -> Result<Option<HungUp>, Error> {
        let request = Request::HangUp {
            leader: leader.clone(),
            session,
            seen,
        };
        match self.ask(&request).await? {
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
        let line = line(request)?;
        let exchange = async {
            let mut stream = self.connect().await?;
            stream.write_all(&line).await?;
            let mut answer = Vec::new();
            let mut bounded = stream.take(MAX_LINE as u64);
            bounded.read_to_end(&mut answer).await?;
            Ok::<_, Error>(answer)
        };
        let answer = timeout(ANSWER_TIMEOUT, exchange)
            .await
            .map_err(|_| Error::Timeout)??;
        self.absent.store(false, Ordering::Relaxed);
        match serde_json::from_slice(&answer)? {
            Answer::Failed { reason } => Err(Error::Failed(reason)),
            Answer::InDoubt => Err(Error::InDoubt),
            answer => Ok(answer),
        }
    }

    async fn connect(&self) -> Result<UnixStream, Error> {
        let stream = UnixStream::connect(&self.socket).await?;
        let peer = stream.peer_cred()?.uid();
        if peer == 0 || peer == rustix::process::geteuid().as_raw() {
            Ok(stream)
        } else {
            Err(Error::Peer(peer))
        }
    }
}

fn line(request: &Request) -> Result<Vec<u8>, Error> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    Ok(line)
}
