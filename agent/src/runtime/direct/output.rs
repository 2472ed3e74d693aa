//! How a program's end becomes the last event of its output.

use bytes::Bytes;
use podgate_node_entry::status::Status;

use crate::exit::Exit;
use crate::node_entry::End;
use crate::streams::{Event, Lost};
use crate::trouble::KILLED_FOR_MEMORY;

/// Why the end of a program's output says nothing of its status.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(
        "the program has ended, but the node entry that started it is gone, and nobody else knows its exit status"
    )]
    Unknown,
    #[error("the program's output cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

/// Waits for a program's end.
pub(super) struct Ending {
    end: End,
    /// What is told in place of the status of a launcher that could not run the program.
    pub(super) instead: Option<Exit>,
    /// As what a remark is shown.
    remark: fn(Bytes) -> Event,
    has_remarked: bool,
}

impl Ending {
    pub(super) fn new(end: End, remark: fn(Bytes) -> Event) -> Self {
        Self {
            end,
            instead: None,
            remark,
            has_remarked: false,
        }
    }

    /// It can be called again if it is dropped half way.
    pub(super) async fn wait(&mut self) -> Option<Status> {
        self.end.wait().await
    }

    /// The exit status, where others may still write; none if the last event alone tells of the end.
    pub(super) fn early(&self, status: Option<Status>) -> Option<u8> {
        match status {
            Some(Status::Exited(code)) if self.instead.is_none() => Some(code),
            _ => None,
        }
    }

    /// The last events: a remark, if there is one, and then the exit.
    pub(super) fn event(&mut self, status: Option<Status>) -> Result<Event, Lost> {
        if self.end.is_for_memory() && !self.has_remarked {
            self.has_remarked = true;
            return Ok((self.remark)(
                format!("podgate: {KILLED_FOR_MEMORY}\r\n").into(),
            ));
        }
        let exit = match (self.instead.take(), status) {
            (Some(exit), _) => exit,
            (None, Some(Status::Exited(code))) => Exit::Code(code),
            (None, Some(Status::Signalled { signal, core })) => Exit::Signalled { signal, core },
            (None, None) => return Err(lost(Error::Unknown)),
        };
        Ok(Event::Exit(exit))
    }
}

pub(super) fn lost(error: Error) -> Lost {
    Lost::new(error)
}
