//! Why something is not shown, in the words that its visitor reads.

use podgate_recording::{Broken, Encrypted};

use crate::rights;

/// Why.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no such recording that you may see")]
    Unknown,
    #[error(transparent)]
    Rights(#[from] rights::Error),
    #[error("the store of recordings: {0}")]
    Store(#[from] podgate_recording::Error),
    #[error("the recording was changed: {0}")]
    Broken(#[from] Broken),
    #[error(transparent)]
    Encrypted(#[from] Encrypted),
    #[error("the recording cannot be read: {0}")]
    Cast(#[from] podgate_recording::cast::Error),
    #[error("this page cannot write its audit log, so it shows no recording")]
    Audit,
    #[error(
        "the store of recordings or the Kubernetes API server did not answer in time; try again"
    )]
    Late,
    #[error("too many lists are looked for at once; try again in a moment")]
    Busy,
    #[error("too many running sessions are watched at once, by you or by all")]
    Followers(&'static str),
}

impl Error {
    /// The key of the limit that refused it.
    pub(crate) fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Rights(rights::Error::TooMany) => Some("lookupsPerUserPerMinute"),
            Self::Busy => Some("requests"),
            Self::Followers(limit) => Some(limit),
            _ => None,
        }
    }
}
