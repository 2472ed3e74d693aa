//! The two ends of a connection in a pod. Each direction ends by itself: the other lives on.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;

use crate::streams::Lost;

/// Takes what the connection's peer reads.
#[async_trait]
pub(crate) trait Write: Send {
    /// Gives bytes, as soon as the peer takes them.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Says that no more bytes come.
    async fn end(&mut self) -> io::Result<()>;

    /// Keeps an idle connection from being cut off.
    async fn keep_alive(&mut self) -> io::Result<()>;
}

/// Gives what the connection's peer writes.
#[async_trait]
pub(crate) trait Read: Send {
    /// The next bytes; `None` once the peer has ended its direction. If it is dropped half way, nothing
    /// is lost.
    async fn next(&mut self) -> Result<Option<Bytes>, Lost>;
}

/// Both ends of one connection.
pub(crate) struct Connection {
    pub(crate) write: Box<dyn Write>,
    pub(crate) read: Box<dyn Read>,
}
