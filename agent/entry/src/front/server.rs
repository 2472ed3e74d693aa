//! One thread between the agent's connections and the starter. It waits for no peer: what one does not
//! take is queued up to a bound, and a peer beyond it is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use podgate_node_entry::channel::Channel;
use podgate_node_entry::protocol::{Answer, Message, Request};
use podgate_node_entry::reason::Reason;
use podgate_node_entry::system;

use super::check::{self, Wrong};
use super::sandbox;
use crate::record::{Connection, Notice, Record};

/// Connections at a time. An agent has one, and for a moment two when it restarts.
const CONNECTIONS: usize = 16;
/// Messages that a peer has not taken, at the most: the ends of all that it can hold.
const QUEUE: usize = 2 * podgate_node_entry::protocol::MAX_HELD;

type Letter = (Message, Vec<OwnedFd>);

struct Peer {
    channel: Channel,
    has_begun: bool,
    queue: VecDeque<Letter>,
}

struct Front {
    starter: Channel,
    /// None once no new connection is to be taken.
    listener: Option<OwnedFd>,
    uids: Vec<u32>,
    peers: BTreeMap<Connection, Peer>,
    last: Connection,
}

/// Runs until the starter ends. stdin is the socket that is listened on, stdout leads to the starter.
pub(crate) fn run(agent: Option<u32>) -> Result<()> {
    // Taken, not copied: the socket is to be closed once no new connection is wanted.
    let (listener, starter) = (system::inherited(0)?, system::inherited(1)?);
    let own = rustix::process::geteuid().as_raw();
    let _ignored = system::block(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP])?;
    sandbox::narrow()?;
    let mut front = Front {
        starter: starter.into(),
        listener: Some(listener),
        uids: std::iter::once(own).chain(agent).collect(),
        peers: BTreeMap::new(),
        last: 0,
    };
    while front.turn()? {}
    Ok(())
}

impl Front {
    /// Waits, and serves all that is ready. False once the starter has ended.
    fn turn(&mut self) -> Result<bool> {
        let listener = self
            .listener
            .as_ref()
            .filter(|_| self.peers.len() < CONNECTIONS);
        let listener = listener.map(|it| PollFd::new(it, PollFlags::IN));
        let numbers: Vec<Connection> = self.peers.keys().copied().collect();
        let peers = self.peers.values().map(|peer| {
            let wanted = if peer.queue.is_empty() {
                PollFlags::IN
            } else {
                PollFlags::IN | PollFlags::OUT
            };
            PollFd::new(&peer.channel, wanted)
        });
        let starter = PollFd::new(&self.starter, PollFlags::IN);
        let mut polled: Vec<PollFd<'_>> = std::iter::once(starter)
            .chain(peers)
            .chain(listener)
            .collect();
        match poll(&mut polled, None) {
            Err(Errno::INTR) => return Ok(true),
            ready => drop(ready?),
        }
        let ready: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
        let mut ready = ready.into_iter();
        if ready.next().is_some_and(|it| !it.is_empty()) && !self.hear_starter()? {
            return Ok(false);
        }
        for (connection, flags) in numbers.into_iter().zip(ready.by_ref()) {
            if flags.contains(PollFlags::OUT) {
                self.flush(connection)?;
            }
            if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                self.hear_peer(connection)?;
            }
        }
        if ready.next().is_some_and(|it| !it.is_empty()) {
            self.accept()?;
        }
        Ok(true)
    }

    fn accept(&mut self) -> Result<()> {
        let Some(listener) = &self.listener else {
            return Ok(());
        };
        let accepted = match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return Ok(()),
            accepted => accepted.context("accept")?,
        };
        let uid = system::peer_user(&accepted)?;
        if !self.uids.contains(&uid) {
            eprintln!("podgate-node-entry: user {uid} may not connect");
            return Ok(());
        }
        self.last += 1;
        let peer = Peer {
            channel: accepted.into(),
            has_begun: false,
            queue: VecDeque::new(),
        };
        self.peers.insert(self.last, peer);
        Ok(())
    }

    fn hear_starter(&mut self) -> Result<bool> {
        let Some((notice, beside)) = self.starter.receive().context("the starter")? else {
            return Ok(false);
        };
        match notice {
            Notice::Draining => self.listener = None,
            Notice::Tell {
                connection,
                message,
            } => self.tell(connection, (message, beside))?,
        }
        Ok(true)
    }

    fn tell(&mut self, connection: Connection, letter: Letter) -> Result<()> {
        // One that is gone needs no answer.
        if let Some(peer) = self.peers.get_mut(&connection) {
            peer.queue.push_back(letter);
            self.flush(connection)?;
        }
        Ok(())
    }

    fn flush(&mut self, connection: Connection) -> Result<()> {
        let Some(peer) = self.peers.get_mut(&connection) else {
            return Ok(());
        };
        let is_bounded = peer.queue.len() <= QUEUE;
        while let Some((message, beside)) = peer.queue.front_mut() {
            let sent = {
                let beside: Vec<_> = beside.iter().map(OwnedFd::as_fd).collect();
                peer.channel.send(message, &beside)
            };
            match sent {
                Ok(()) => drop(peer.queue.pop_front()),
                Err(error) if error.would_block() && is_bounded => break,
                // The agent gives a program up of which it gets no descriptor.
                Err(error) if error.is_of_the_message() && !beside.is_empty() => {
                    eprintln!("podgate-node-entry: descriptors cannot be passed on: {error}");
                    beside.clear();
                }
                Err(error) => return self.close(connection, &format!("it takes nothing: {error}")),
            }
        }
        Ok(())
    }

    fn hear_peer(&mut self, connection: Connection) -> Result<()> {
        let Some(peer) = self.peers.get_mut(&connection) else {
            return Ok(());
        };
        let (request, beside): (Request, _) = match peer.channel.receive() {
            Ok(Some(received)) => received,
            Ok(None) => return self.close(connection, "it has ended"),
            Err(error) if error.would_block() => return Ok(()),
            Err(error) => return self.close(connection, &error.to_string()),
        };
        let number = request.number;
        let wrong = check::check(&request.action, &beside, !peer.has_begun);
        match wrong {
            Ok(()) => {
                peer.has_begun = true;
                let record = Record::Said {
                    connection,
                    request,
                };
                let beside: Vec<_> = beside.iter().map(OwnedFd::as_fd).collect();
                match self.starter.send(&record, &beside) {
                    Err(error) if error.is_of_the_message() => {
                        self.refuse(connection, number, Reason::Entry(error.to_string()))
                    }
                    sent => sent.context("the starter"),
                }
            }
            Err(wrong @ (Wrong::Order | Wrong::Version)) => {
                self.close(connection, &wrong.to_string())
            }
            Err(wrong) => self.refuse(connection, number, Reason::Invalid(wrong.to_string())),
        }
    }

    fn refuse(&mut self, connection: Connection, number: u64, reason: Reason) -> Result<()> {
        let answer = Answer::Refused { reason };
        self.tell(connection, (Message::Answer { number, answer }, Vec::new()))
    }

    /// Drops a peer; what was started for it is then hung up.
    fn close(&mut self, connection: Connection, why: &str) -> Result<()> {
        eprintln!("podgate-node-entry: connection {connection} is closed: {why}");
        let Some(peer) = self.peers.remove(&connection) else {
            bail!("connection {connection} was closed twice");
        };
        if peer.has_begun {
            let closed = Record::Closed { connection };
            self.starter.send(&closed, &[]).context("the starter")?;
        }
        Ok(())
    }
}
