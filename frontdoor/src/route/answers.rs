//! Answers of the API server on the way to a pod. A failure is kept for a moment, too. So a user who
//! repeats a question costs the API server one request a second.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::time::Duration;

use podgate_process::cache::{Cache, Outage};

use crate::lookups::TooMany;
use podgate_identity::kubernetes::Unanswered;

/// Questions whose answers are kept. The least recently used one is dropped first.
const QUESTIONS: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not 0");
/// How long a failure is the answer to its question.
const FAILED: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Error {
    #[error("the API server has none")]
    Absent,
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// The API server was not asked.
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

impl Outage for Error {
    fn is_away(&self) -> bool {
        match self {
            Self::Absent | Self::TooMany(_) => false,
            Self::Unanswered(unanswered) => unanswered.is_away(),
        }
    }
}

/// Answers of one kind, for all cores.
pub(super) type AnswerCache<K, V> = Cache<K, V, Error>;

pub(super) fn cache<K: Hash + Eq, V: Clone>() -> AnswerCache<K, V> {
    Cache::new(QUESTIONS).failed(FAILED)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn an_api_server_that_answers_is_not_away() {
        let status = kube::core::Status::failure("no", "Forbidden").with_code(403);
        let refused = Unanswered::Ask(Arc::new(kube::Error::Api(Box::new(status))));
        assert!(!Error::from(refused).is_away());
        assert!(!Error::Absent.is_away());
        assert!(Error::from(Unanswered::Timeout(Duration::ZERO)).is_away());
    }
}
