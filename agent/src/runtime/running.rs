//! A program that a runtime has started, or may have: how it is signalled and ended.

use async_trait::async_trait;

use super::trace::{HangUp, Trace};
use crate::streams::Streams;
use podgate_helper::protocol::Signal;

/// A program, as its runtime reaches it. A process that is not surely the session's own is never
/// signalled.
#[async_trait]
pub(crate) trait Running: Send {
    /// What finds it again after a crash of this agent. None if another part of the node then ends it.
    fn trace(&self) -> Option<Trace>;

    /// Waits until it is known which process leads the session, as far as that can be known. Answers
    /// whether the trace has changed. If it is dropped half way, it can be called again.
    async fn settle(&mut self) -> bool;

    /// Sends a signal to what runs in the session's foreground.
    async fn signal(&mut self, signal: Signal) -> Result<(), Error>;

    /// Sends SIGHUP and SIGCONT, as a terminal that hangs up does. It may take the streams, to close or
    /// to drain them. Streams that it leaves stay open until the kill. Returns `None` if nobody is
    /// there any more.
    async fn hang_up(&mut self, streams: &mut Option<Streams>) -> Result<Option<HangUp>, Error>;

    /// Sends SIGKILL to what the hang-up has left. Answers whether there was anything to kill.
    async fn kill(&mut self, hang_up: &HangUp) -> Result<bool, Error>;

    /// The hang-up has failed for good. Another part of the node does it later: the next agent by the
    /// trace, or the one that [`Self::trace`] names.
    fn abandon(&mut self) {}
}

/// Why a program could not be signalled or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The container is no more, and neither is anything that ran in it.
    #[error(transparent)]
    ContainerGone(Box<dyn std::error::Error + Send + Sync>),
    #[error("the process that leads the session cannot be identified for sure")]
    InDoubt,
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}
