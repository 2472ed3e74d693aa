//! Why the store does not do what it was asked.

use std::io;
use std::time::Duration;

/// How long the store may take to begin an answer, with a connection that is not there yet.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// The store does not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("{0}")]
    Url(String),
    #[error("{0}")]
    Store(#[from] object_store::Error),
    #[error("{folder}: {error}")]
    Folder { folder: String, error: io::Error },
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("{0} is too long")]
    Long(String),
    #[error("chunk {0} is missing, and later ones are there")]
    Missing(u32),
    #[error("its thread has ended")]
    Ended,
}
