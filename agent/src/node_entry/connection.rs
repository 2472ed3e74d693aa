//! The connection to the node entry: it sends what all cores ask, and gives each its answer. While it is
//! lost, whoever asks hears so at once; what was started goes on.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use podgate_node_entry::channel::{self, Channel};
use podgate_node_entry::ids::Handle;
use podgate_node_entry::protocol::{Action, Answer, Message, Request, VERSION};
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::error::Error;
use super::held::{Held, Told};
use crate::watched;

/// Requests without an answer, at the most.
const MOST: usize = 1024;
/// For the entry to take a request, or to answer the first.
const SOON: Duration = Duration::from_secs(5);
/// The pauses before a lost connection is made again.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

/// A request.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) action: Action,
    pub(super) beside: Vec<OwnedFd>,
    pub(super) answer: oneshot::Sender<Result<Reply, Error>>,
}

/// An answer with its descriptors.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) beside: Vec<OwnedFd>,
    /// Of a program that was started.
    pub(super) told: Option<watch::Receiver<Told>>,
}

/// The one connection of all cores.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: PathBuf,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) held: Arc<Held>,
    /// 1 while there is one.
    pub(super) there: Gauge,
}

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Channel(#[from] channel::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it has closed the connection")]
    Closed,
    #[error("it takes no requests")]
    Stuck,
    #[error("its socket belongs to user {0}, who is neither root nor the agent's user")]
    Peer(u32),
}

/// What one connection waits for.
#[derive(Default)]
struct Waiting {
    last: u64,
    answers: HashMap<u64, oneshot::Sender<Result<Reply, Error>>>,
}

impl Connection {
    /// Stays connected. Never returns.
    pub(super) async fn run(mut self) -> Infallible {
        let mut pauses = PAUSES.iter();
        loop {
            let mut waiting = Waiting::default();
            let broken = match self.serve(&mut waiting).await {
                Ok(never) => return never,
                Err(broken) => broken,
            };
            if self.there.set(0) == 1 {
                tracing::warn!(error = %broken, "the connection to the node entry is lost");
                pauses = PAUSES.iter();
            } else {
                tracing::debug!(error = %broken, "the node entry is not there");
            }
            for (_, answer) in waiting.answers {
                // Who has given up needs no answer.
                let _ = answer.send(Err(Error::Lost));
            }
            self.held.lost();
            let pause = pauses.next().or(PAUSES.last()).copied();
            self.refuse(pause.unwrap_or_default()).await;
        }
    }

    /// Tells whoever asks meanwhile that nobody is there.
    async fn refuse(&mut self, pause: Duration) {
        let end = Instant::now() + pause;
        loop {
            tokio::select! {
                () = sleep_until(end) => return,
                Some(ask) = self.asks.recv() => drop(ask.answer.send(Err(Error::Absent))),
            }
        }
    }

    async fn serve(&mut self, waiting: &mut Waiting) -> Result<Infallible, Broken> {
        let channel = Channel::connect(&self.socket)?;
        let peer = channel.peer()?;
        if peer != 0 && peer != rustix::process::geteuid().as_raw() {
            return Err(Broken::Peer(peer));
        }
        let channel = watched::watch(channel, Interest::READABLE | Interest::WRITABLE)?;
        self.hold(&channel, waiting).await?;
        self.there.set(1);
        tracing::info!("connected to the node entry");
        loop {
            tokio::select! {
                heard = receive(&channel) => {
                    let (message, beside) = heard?.ok_or(Broken::Closed)?;
                    self.hear(message, beside, waiting);
                }
                Some(Ask { action, beside, answer }) = self.asks.recv(),
                    if waiting.answers.len() < MOST =>
                {
                    let number = waiting.next();
                    waiting.answers.insert(number, answer);
                    match send(&channel, number, action, &beside).await {
                        Err(Broken::Channel(error)) if error.is_of_the_message() => {
                            waiting.unsent(number, error);
                        }
                        sent => sent?,
                    }
                }
                released = self.held.released() => {
                    for handle in released {
                        send(&channel, waiting.next(), Action::Release { handle }, &[]).await?;
                    }
                }
            }
        }
    }

    /// Says what this agent holds, and waits until the entry knows it.
    async fn hold(&self, channel: &AsyncFd<Channel>, waiting: &mut Waiting) -> Result<(), Broken> {
        let handles = self.held.all();
        let action = Action::Hold {
            version: VERSION,
            handles,
        };
        let hold = waiting.next();
        send(channel, hold, action, &[]).await?;
        let known = async {
            loop {
                let (message, beside) = receive(channel).await?.ok_or(Broken::Closed)?;
                match message {
                    Message::Answer { number, .. } if number == hold => return Ok(()),
                    message => self.hear(message, beside, waiting),
                }
            }
        };
        timeout(SOON, known).await.unwrap_or(Err(Broken::Stuck))?;
        // So that this entry, too, knows what is in the foreground when this agent is gone.
        for (handle, master) in self.held.masters() {
            let master = master.get_ref().try_clone()?;
            send(channel, waiting.next(), Action::Lend { handle }, &[master]).await?;
        }
        Ok(())
    }

    fn hear(&self, message: Message, beside: Vec<OwnedFd>, waiting: &mut Waiting) {
        let (number, answer) = match message {
            Message::Ended {
                handle,
                status,
                memory_limit,
            } => return self.held.ended(handle, status, memory_limit),
            Message::Answer { number, answer } => (number, answer),
        };
        let started = match &answer {
            Answer::Started { handle, .. } => Some(*handle),
            _ => None,
        };
        let reply = Reply {
            answer,
            beside,
            told: started.map(|handle| self.held.add(handle)),
        };
        let unwanted = match waiting.answers.remove(&number) {
            Some(answer) => answer.send(Ok(reply)).is_err(),
            None => true,
        };
        // Its launcher ends with the descriptors that were beside the answer.
        if let (true, Some(handle)) = (unwanted, started) {
            self.give_up(handle);
        }
    }

    fn give_up(&self, handle: Handle) {
        tracing::info!(%handle, "nobody waits any more for a program that the node entry has started");
        self.held.release(handle);
    }
}

impl Waiting {
    /// Tells whoever asks that this cannot be asked.
    fn unsent(&mut self, number: u64, error: channel::Error) {
        if let Some(answer) = self.answers.remove(&number) {
            // Who has given up needs no answer.
            let _ = answer.send(Err(Error::Unsent(error)));
        }
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

async fn send(
    channel: &AsyncFd<Channel>,
    number: u64,
    action: Action,
    beside: &[OwnedFd],
) -> Result<(), Broken> {
    let request = Request { number, action };
    let beside: Vec<_> = beside.iter().map(AsFd::as_fd).collect();
    let sent = async {
        loop {
            match channel.get_ref().send(&request, &beside) {
                Err(error) if error.would_block() => channel.writable().await?.clear_ready(),
                sent => return Ok(sent?),
            }
        }
    };
    timeout(SOON, sent).await.unwrap_or(Err(Broken::Stuck))
}

/// The next message. Nothing is lost if it is dropped half way.
async fn receive(channel: &AsyncFd<Channel>) -> Result<Option<(Message, Vec<OwnedFd>)>, Broken> {
    loop {
        let mut ready = channel.readable().await?;
        match channel.get_ref().receive() {
            Err(error) if error.would_block() => ready.clear_ready(),
            received => return Ok(received?),
        }
    }
}
