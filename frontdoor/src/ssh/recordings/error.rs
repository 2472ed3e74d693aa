//! Why a command about recordings has no answer, as its user is told.

use podgate_identity::pass;
use podgate_recording::{Broken, Encrypted, Id};

use super::reply::Gone;
use crate::authz;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Authz(#[from] authz::Error),
    #[error("the store of recordings: {0}")]
    Store(podgate_recording::Error),
    #[error("the recording was changed: {0}")]
    Missing(podgate_recording::Error),
    #[error("there is no recording {0} that you may see")]
    Unknown(Id),
    #[error("the recording was changed: {0}")]
    Broken(#[from] Broken),
    #[error(transparent)]
    Encrypted(#[from] Encrypted),
    #[error("the recording cannot be read: {0}")]
    Cast(#[from] podgate_recording::cast::Error),
    #[error("this frontdoor cannot write its audit log, so it shows no recording")]
    Audit,
    #[error(
        "the store of recordings or the Kubernetes API server did not answer in time; try again"
    )]
    Late,
    #[error("this frontdoor makes no links: its configuration names no page of recordings")]
    NoPage,
    #[error("no link can be made: {0}")]
    Link(#[from] pass::Error),
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl From<podgate_recording::Error> for Error {
    fn from(error: podgate_recording::Error) -> Self {
        match error {
            podgate_recording::Error::Missing(_) => Self::Missing(error),
            error => Self::Store(error),
        }
    }
}
