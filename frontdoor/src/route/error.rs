//! Why a target leads nowhere.

use super::answers;
use crate::login_name::Absent;
use crate::lookups::TooMany;

#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Error {
    #[error("{0}")]
    Ask(answers::Error),
    // The same words as for a target that the user may not enter.
    #[error("{0}")]
    Absent(Absent),
    #[error("this frontdoor does not watch the cluster's pods (watchPods) and cannot list them")]
    NotWatched,
    #[error("the cluster's pods are not known yet; try again in a moment")]
    NotKnown,
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error("the UID of pod {0} is too long to be recorded, so no session may enter it")]
    Uid(String),
    #[error("pod {0} is not on a node yet")]
    NotScheduled(String),
    #[error("no Podgate agent runs on the pod's node, {0}")]
    NoAgent(String),
    #[error("{target}: {reason}")]
    NoPods { target: String, reason: String },
    #[error("no container {container} in pod {pod}; it has {has}")]
    NoContainer {
        pod: String,
        container: String,
        has: String,
    },
}

impl Error {
    /// The key of the limit that refused the session, if one did.
    pub(crate) fn limit(&self) -> Option<&'static str> {
        match self {
            Self::TooMany(_) => Some(TooMany::LIMIT),
            Self::Uid(_) => Some("uidBytes"),
            _ => None,
        }
    }
}
