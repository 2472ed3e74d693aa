//! Why a target leads nowhere.

use super::answers;
use crate::login_name::Absent;

#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Error {
    #[error("{0}")]
    Ask(answers::Error),
    // The same words as for a target that one may not enter.
    #[error("{0}")]
    Absent(Absent),
    #[error("this frontdoor does not watch the cluster's pods (watchPods) and cannot list them")]
    NotWatched,
    #[error("the cluster's pods are not known yet; try again in a moment")]
    NotKnown,
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
