//! The runtimes of this node, in the order in which a start tries them.

use std::sync::Arc;
use std::time::Instant;

use super::contract::{NotStarted, Runtime, Start, Started};
use super::error::Error;
use crate::metrics::StartMetrics;

/// The runtimes of this node.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    first: Arc<dyn Runtime>,
    /// Takes what the first does not start.
    other: Option<Arc<dyn Runtime>>,
    metrics: StartMetrics,
}

/// What came of a start.
pub(crate) struct Tried {
    /// Who has started it, or tried it last.
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) outcome: Result<Started, NotStarted>,
}

impl Choice {
    pub(crate) fn new(
        first: Arc<dyn Runtime>,
        other: Option<Arc<dyn Runtime>>,
        metrics: StartMetrics,
    ) -> Self {
        Self {
            first,
            other,
            metrics,
        }
    }

    /// Starts a program by the first runtime that does.
    pub(crate) async fn start(&self, start: &Start<'_>) -> Tried {
        let tried = self.by(&self.first, start).await;
        let Some(other) = &self.other else {
            return tried;
        };
        match &tried.outcome {
            Err(NotStarted {
                error: error @ Error::Elsewhere { reason, .. },
                running: None,
            }) => {
                tracing::debug!(%error, "another runtime is to start it");
                self.metrics.left_to_the_kubelet(reason);
            }
            _ => return tried,
        }
        self.by(other, start).await
    }

    async fn by(&self, runtime: &Arc<dyn Runtime>, start: &Start<'_>) -> Tried {
        let begun = Instant::now();
        let outcome = runtime.start(start).await;
        let word = match &outcome {
            Ok(_) => "started",
            Err(NotStarted {
                error: Error::Elsewhere { .. },
                ..
            }) => "elsewhere",
            Err(_) => "failed",
        };
        self.metrics.tried(runtime.word(), word, begun.elapsed());
        let runtime = Arc::clone(runtime);
        Tried { runtime, outcome }
    }
}
