//! Why a transfer ends before its last file.

use std::io;

/// Why a transfer broke off. A failure of a single file is reported to the client, and the next files
/// follow.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the scp client sent {0}")]
    Protocol(&'static str),
    #[error("the scp client gave up: {0}")]
    GivenUp(String),
    #[error("the scp client cannot be reached: {0}")]
    Io(#[from] io::Error),
}
