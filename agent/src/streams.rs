//! The two ends of what runs in a container: one takes its input, the other gives its output. A
//! session moves bytes between these and the link, and knows nothing of what is behind them.

use std::convert::Infallible;
use std::future::pending;
use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use podgate_proto::v1::TerminalSize;
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// Takes what a program reads.
#[async_trait]
pub(crate) trait Input: Send {
    /// Waits until more bytes may be given. While the program does not read, little is held for it. If
    /// this is dropped half way, it can be called again.
    async fn ready(&mut self) -> io::Result<()>;

    /// Gives bytes to the program. Without [`ready`](Self::ready) before it, it may wait for the program
    /// to read.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Says that no more input comes.
    async fn end(&mut self) -> io::Result<()>;

    /// Cancelled once the program is known to have ended, although its status is not known yet.
    fn unwanted(&self) -> CancellationToken;

    /// Ends the input of a program that has ended. What is written afterwards is thrown away.
    async fn discard(&mut self) -> io::Result<()>;

    /// Sets the terminal's size. Without a terminal it does nothing.
    async fn resize(&mut self, size: &TerminalSize) -> io::Result<()>;

    /// Keeps an idle program from being cut off.
    async fn keep_alive(&mut self) -> io::Result<()>;
}

/// Gives what a program writes, and tells how it ended.
#[async_trait]
pub(crate) trait Output: Send {
    /// The next event. There is none after [`Event::Exit`].
    async fn next(&mut self) -> Result<Event, Lost>;

    /// To be waited for while the last event waits to be taken: where input and output share a
    /// connection, it keeps the output from holding up the input. If this is dropped half way, nothing is lost.
    async fn read_ahead(&mut self) -> Infallible {
        pending().await
    }

    /// Whether stdout can be closed, so that the program learns that nobody reads it. Then
    /// [`next`](Self::next) can be dropped half way.
    fn can_close_stdout(&self) -> bool {
        false
    }

    /// Closes stdout, where that is possible.
    fn close_stdout(&mut self) {}
}

/// What a program gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes of stdout, or of the terminal.
    Stdout(Bytes),
    /// Bytes of stderr.
    Stderr(Bytes),
    /// It ended with this status, but others may still write to its output. It comes once at the most.
    Ended(u8),
    /// How it ended. All its output came before.
    Exit(Exit),
}

/// The output broke off before the program was known to have ended.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Lost {
    pub(crate) error: Box<dyn std::error::Error + Send + Sync>,
    /// The program's exit status, if the program is known all the same to have ended and all its output
    /// came before. Something of it may be left in the container.
    pub(crate) status: Option<u8>,
}

impl Lost {
    pub(crate) fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let (error, status) = (error.into(), None);
        Self { error, status }
    }
}

/// Both ends of one program.
pub(crate) struct Streams {
    pub(crate) input: Box<dyn Input>,
    pub(crate) output: Box<dyn Output>,
}
