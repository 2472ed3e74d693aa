//! A program's terminal. The session ends when its leader has ended and what lies in the terminal is
//! sent; closing the master hangs up what is left, as terminals do.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use podgate_node_entry::status::Status;
use tokio::io::Interest;
use tokio::time::sleep;

use super::descriptor::{Read, Reads, Watched};
use super::input::Input;
use super::output::{Ending, Error, lost};
use crate::streams::{self, Event, Lost, Streams};
use crate::watched::watch_unblocked;

/// Bytes that are sent after the leader's end, at the most: more than lie in a terminal. What runs on in
/// the background may write for ever.
const MAX_REST: usize = 256 * 1024;
/// How often a terminal is looked at that nobody has open: its leader may open it again.
const CLOSED: Duration = Duration::from_secs(1);

/// A terminal's master, for reading and writing.
pub(super) fn watched(master: OwnedFd) -> io::Result<Arc<Watched>> {
    let both = Interest::READABLE | Interest::WRITABLE;
    Ok(Arc::new(watch_unblocked(master, both)?))
}

/// Both ends of a program on the terminal of this master. The remark comes first.
pub(super) fn streams(
    master: Arc<Watched>,
    ending: Ending,
    remark: Option<&'static str>,
) -> Streams {
    let output = Output {
        first: remark.map(|text| Bytes::from_static(text.as_bytes())),
        master: Arc::clone(&master),
        reads: Reads::default(),
        ending,
        ended: None,
        is_closed: false,
    };
    Streams {
        input: Box::new(Input::terminal(master)),
        output: Box::new(output),
    }
}

struct Output {
    first: Option<Bytes>,
    master: Arc<Watched>,
    reads: Reads,
    ending: Ending,
    /// Set once the leader has ended.
    ended: Option<Ended>,
    /// Whether nobody has the terminal open.
    is_closed: bool,
}

#[derive(Clone, Copy)]
struct Ended {
    status: Option<Status>,
    /// Bytes that may still be sent.
    rest: usize,
}

impl Output {
    async fn look(&mut self) -> io::Result<Option<Bytes>> {
        tokio::select! {
            biased;
            status = self.ending.wait() => {
                let rest = MAX_REST;
                self.ended = Some(Ended { status, rest });
                Ok(None)
            }
            bytes = self.reads.next(&self.master), if !self.is_closed => {
                self.is_closed = matches!(bytes, Ok(None));
                bytes
            }
            () = sleep(CLOSED), if self.is_closed => {
                match self.reads.read(self.master.get_ref())? {
                    Read::Bytes(bytes) => Ok(Some(bytes)),
                    Read::Nothing | Read::End => Ok(None),
                }
            }
        }
    }

    /// What lies in the terminal at the leader's end, and then that.
    fn last(&mut self, ended: Ended) -> io::Result<Option<Bytes>> {
        if ended.rest == 0 {
            return Ok(None);
        }
        Ok(match self.reads.read(self.master.get_ref())? {
            Read::Bytes(bytes) => {
                let rest = ended.rest.saturating_sub(bytes.len());
                self.ended = Some(Ended { rest, ..ended });
                Some(bytes)
            }
            Read::Nothing | Read::End => None,
        })
    }
}

#[async_trait]
impl streams::Output for Output {
    async fn next(&mut self) -> Result<Event, Lost> {
        if let Some(bytes) = self.first.take() {
            return Ok(Event::Stdout(bytes));
        }
        loop {
            let failed = |error| lost(Error::Io(error));
            if let Some(ended) = self.ended {
                return match self.last(ended).map_err(failed)? {
                    Some(bytes) => Ok(Event::Stdout(bytes)),
                    None => self.ending.event(ended.status),
                };
            }
            if let Some(bytes) = self.look().await.map_err(failed)? {
                return Ok(Event::Stdout(bytes));
            }
        }
    }
}
