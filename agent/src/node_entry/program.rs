//! A program that the node entry has started: how it is reached, and how it ended.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use podgate_node_entry::ids::Handle;
use podgate_node_entry::protocol::{Action, Answer, Process, Signal, Start};
use podgate_node_entry::status::Status;
use podgate_node_entry::system::exit_status;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::sync::watch as told;
use tokio::time::{Instant, sleep};

use super::client::NodeEntry;
use super::error::Error;
use super::held::{Master, Told};
use crate::watched::watch;

/// How often a process that has ended is looked at again until its parent has taken its status, and the
/// pause between two looks.
const LOOKS: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// A program. Once it is dropped, nothing of it is hung up any more.
#[derive(Debug)]
pub(crate) struct Program {
    entry: Arc<NodeEntry>,
    handle: Handle,
    end: End,
}

/// A program that was started. If it is one of the entry's own, such as the launcher, it may wait for a
/// word on its socket.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) program: Program,
    pub(crate) process: Process,
    /// The program's own socket, and with a terminal its master.
    pub(crate) beside: Vec<OwnedFd>,
}

/// How a program ends.
#[derive(Clone, Debug)]
pub(crate) struct End {
    told: told::Receiver<Told>,
    pidfd: Arc<OwnedFd>,
}

impl NodeEntry {
    /// Has a program started, with the descriptors that the protocol wants beside a start.
    pub(crate) async fn start(
        self: &Arc<Self>,
        start: Start,
        beside: Vec<OwnedFd>,
        deadline: Instant,
    ) -> Result<Started, Error> {
        if self.held.is_full() {
            return Err(Error::Full);
        }
        let reply = self.ask(Action::Start(start), beside, deadline).await?;
        let (Answer::Started { handle, process }, Some(told)) = (reply.answer, reply.told) else {
            return Err(Error::OtherAnswer);
        };
        let mut beside = reply.beside.into_iter();
        let Some(pidfd) = beside.next() else {
            self.release(handle);
            return Err(Error::OtherAnswer);
        };
        Ok(Started {
            program: Program::new(Arc::clone(self), handle, pidfd, told),
            process,
            beside: beside.collect(),
        })
    }
}

impl Program {
    pub(super) fn new(
        entry: Arc<NodeEntry>,
        handle: Handle,
        pidfd: OwnedFd,
        told: told::Receiver<Told>,
    ) -> Self {
        let pidfd = Arc::new(pidfd);
        Self {
            entry,
            handle,
            end: End { told, pidfd },
        }
    }

    pub(crate) fn end(&self) -> End {
        self.end.clone()
    }

    /// Lends the other end of its terminal to the entries to come. The session closes it.
    pub(crate) fn lend(&self, master: &Arc<Master>) {
        self.entry.held.lend(self.handle, master);
    }

    /// Sends a signal to its foreground; how many processes that reached.
    pub(crate) async fn signal(&self, signal: Signal) -> Result<usize, Error> {
        self.entry.signal(self.handle, signal).await
    }

    /// Hangs it up; how many processes that leaves. Its terminal is closed before.
    pub(crate) async fn hang_up(&self) -> Result<usize, Error> {
        self.entry.hang_up(self.handle).await
    }

    /// Leaves what could not be hung up to the entry, which does it once no connection holds the program.
    pub(crate) fn abandon(&self) {
        self.entry.held.abandon(self.handle);
    }

    /// Whether its first process has ended.
    pub(crate) fn has_ended(&self) -> bool {
        let mut ready = [PollFd::new(&*self.end.pidfd, PollFlags::IN)];
        matches!(poll(&mut ready, Some(&Timespec::default())), Ok(1..))
    }

    /// Kills what is left of its foreground; how many processes that reached.
    pub(crate) async fn kill(&self) -> Result<usize, Error> {
        self.entry.kill(self.handle).await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.entry.release(self.handle);
    }
}

impl End {
    /// Waits until the program's first process has ended. None if its status is not known: the entry
    /// that started it is gone, and the kernel is older than 6.15. It can be called again if it is dropped
    /// half way.
    pub(crate) async fn wait(&mut self) -> Option<Status> {
        loop {
            let told = *self.told.borrow_and_update();
            match told {
                Told::Ended {
                    status: Some(status),
                    ..
                } => return Some(status),
                Told::Ended { status: None, .. } | Told::Lost => return self.by_pidfd().await,
                Told::Nothing => {
                    if self.told.changed().await.is_err() {
                        return self.by_pidfd().await;
                    }
                }
            }
        }
    }

    /// Whether it was killed, as far as is known because its container had reached its memory limit.
    pub(crate) fn is_for_memory(&self) -> bool {
        matches!(
            *self.told.borrow(),
            Told::Ended {
                memory_limit: true,
                ..
            }
        )
    }

    async fn by_pidfd(&self) -> Option<Status> {
        match watch(Arc::clone(&self.pidfd), Interest::READABLE) {
            Ok(pidfd) => drop(pidfd.readable().await),
            Err(error) => {
                tracing::warn!(%error, "a program's end cannot be waited for");
                return None;
            }
        }
        for _ in 0..LOOKS {
            if let Some(status) = exit_status(&self.pidfd) {
                return Some(status);
            }
            sleep(PAUSE).await;
        }
        None
    }
}
