//! Why the node entry did not do what it was asked.

use std::io;

pub(crate) use podgate_node_entry::reason::Reason;
use podgate_node_entry::report::{Failure, NotAReport};
use podgate_node_entry::{channel, launch};

/// Why the node entry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing was asked.
    #[error("the node entry is not there")]
    Absent,
    #[error("the connection to the node entry was lost before its answer")]
    Lost,
    #[error("the node entry could not be asked: {0}")]
    Unsent(#[source] channel::Error),
    #[error("the node entry did not answer in time")]
    Timeout,
    #[error("the agent holds as many programs as it can")]
    Full,
    #[error(transparent)]
    Refused(#[from] Reason),
    #[error("the node entry gave an unexpected answer")]
    OtherAnswer,
    #[error(transparent)]
    Launch(#[from] launch::Error),
    #[error(transparent)]
    Report(#[from] NotAReport),
    #[error("the container's launcher could not begin: {0}")]
    Launcher(Failure),
    #[error("the container's launcher ended before it ran anything")]
    LauncherEnded,
    #[error("the agent has no descriptor or memory to spare: {0}")]
    Io(#[from] io::Error),
}
