//! An answer of the API server within a time limit, or the reason why there is none.

use std::sync::Arc;
use std::time::Duration;

/// The limit if an earlier answer can serve instead, or if another question follows.
pub const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

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
    /// Whether the API server did not decide. A refusal is a decision, unless the server is only too
    /// busy (429).
    pub fn is_away(&self) -> bool {
        match self {
            Self::Ask(error) => {
                !matches!(&**error, kube::Error::Api(status) if status.code < 500 && status.code != 429)
            }
            Self::Timeout(_) => true,
        }
    }
}

/// Waits for a whole answer, up to a limit.
pub async fn within<T>(
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
