//! An answer of the API server, which is not waited for without end, or why there is none.

use std::sync::Arc;
use std::time::Duration;

/// For an answer that an earlier one may stand in for, or that is not the last to be waited for.
pub(crate) const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a question has no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Unanswered {
    #[error("the API server could not be asked: {0}")]
    Ask(Arc<kube::Error>),
    #[error("the API server did not answer within {0:?}")]
    Timeout(Duration),
}

impl Unanswered {
    /// Whether the API server said nothing of what was asked. A refusal is an answer, but for one that
    /// only has no time for it (429).
    pub(crate) fn is_away(&self) -> bool {
        match self {
            Self::Ask(error) => {
                !matches!(&**error, kube::Error::Api(status) if status.code < 500 && status.code != 429)
            }
            Self::Timeout(_) => true,
        }
    }
}

/// Waits for the whole of an answer.
pub(crate) async fn within<T>(
    limit: Duration,
    asking: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Unanswered> {
    match tokio::time::timeout(limit, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Unanswered::Ask(Arc::new(error))),
        Err(_) => Err(Unanswered::Timeout(limit)),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_refusal_is_an_answer() {
        for (code, away) in [
            (403, false),
            (400, false),
            (429, true),
            (500, true),
            (503, true),
        ] {
            let status = Status::failure("no", "no").with_code(code);
            let error = kube::Error::Api(Box::new(status));
            let unanswered = Unanswered::Ask(Arc::new(error));
            assert_eq!(unanswered.is_away(), away, "{code}");
        }
        assert!(Unanswered::Timeout(SHORT_TIMEOUT).is_away());
    }
}
