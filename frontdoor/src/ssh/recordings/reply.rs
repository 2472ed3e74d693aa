//! Writes an answer to the client, which must take each piece of it in time.

use std::time::Duration;

use bytes::Bytes;
use podgate_recording::NoEnd;
use russh::ChannelWriteHalf;
use russh::server::Msg;
use tokio::time::timeout;

use crate::ssh::end::End;
use crate::ssh::pump::STDERR;

/// How long a client may take to make room for the next piece.
const TAKEN: Duration = Duration::from_secs(10);
/// Bytes of a piece.
const PIECE: usize = 32 * 1024;

/// The client takes no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Gone {
    #[error("the client is gone")]
    Client,
    #[error("your ssh client does not read the answer")]
    Unread,
}

impl From<Gone> for End {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Client => Self::ClientGone,
            Gone::Unread => Self::Failed(gone.to_string()),
        }
    }
}

pub(super) struct Reply<'a> {
    write: &'a ChannelWriteHalf<Msg>,
    /// Whether the client's terminal is raw, and no pty adds carriage returns.
    tty: bool,
}

impl<'a> Reply<'a> {
    pub(super) fn new(write: &'a ChannelWriteHalf<Msg>, tty: bool) -> Self {
        Self { write, tty }
    }

    pub(super) fn is_tty(&self) -> bool {
        self.tty
    }

    /// Writes lines.
    pub(super) async fn say(&self, text: &str) -> Result<(), Gone> {
        let text = if self.tty {
            text.replace('\n', "\r\n")
        } else {
            text.to_owned()
        };
        self.give(text).await
    }

    /// Writes bytes as they are.
    pub(super) async fn give(&self, bytes: impl Into<Bytes>) -> Result<(), Gone> {
        let mut bytes = bytes.into();
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            taken(self.write.data_bytes(piece)).await?;
        }
        Ok(())
    }

    /// Writes why the recording has no end, if so.
    pub(super) async fn warn_of_no_end(&self, no_end: Option<NoEnd>) -> Result<(), Gone> {
        match no_end {
            Some(no_end) => {
                self.warn(&format!("the recording has no end: {no_end}"))
                    .await
            }
            None => Ok(()),
        }
    }

    /// Writes a line about the answer.
    pub(super) async fn warn(&self, line: &str) -> Result<(), Gone> {
        let line = format!("podgate: {line}\r\n");
        taken(self.write.extended_data_bytes(STDERR, line)).await
    }
}

async fn taken<E>(write: impl Future<Output = Result<(), E>>) -> Result<(), Gone> {
    match timeout(TAKEN, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Gone::Client),
        Err(_) => Err(Gone::Unread),
    }
}
