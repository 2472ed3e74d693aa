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
