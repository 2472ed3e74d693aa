//! The record of who logged in and who entered what: a JSON object a line, as the README's table has it.
//! Recording never waits: lines wait in a bounded queue for the one thread that writes them.

mod event;
mod queue;
mod session;
mod sink;
mod writer;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::{self, AuditTo, OnFailure};
use crate::metrics::Metrics;
pub use event::{Event, Via};
use queue::{Queue, Refused};
pub use session::{RefusedBy, Session};
use sink::Sink;

/// For the last lines, once nothing more is recorded.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot write to {to}: {source}")]
    Open { to: String, source: io::Error },
    #[error("cannot start the writer: {0}")]
    Thread(io::Error),
}

/// Why no session begins: what the user reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this frontdoor cannot write its audit log, and lets no session begin meanwhile")]
pub struct Unwritable;

/// Takes what is to be recorded, from all cores.
#[derive(Debug)]
pub struct Audit {
    /// None where nothing is recorded.
    queue: Option<Arc<Queue>>,
    on_failure: OnFailure,
    metrics: Arc<Metrics>,
    /// Cancelled when the writer has ended.
    ended: CancellationToken,
}

impl Audit {
    /// Opens what is written to, and starts the writer.
    pub fn start(config: &config::Audit, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let (ended, on_failure) = (CancellationToken::new(), config.on_failure);
        let queue = match &config.to {
            AuditTo::Nowhere => None,
            AuditTo::Stdout => Some((Sink::stdout(), "stdout".to_owned())),
            AuditTo::File(path) => Some((Sink::file(path), path.display().to_string())),
        };
        let queue = queue.map(|(mut sink, to)| {
            match (sink.open(), on_failure) {
                (Ok(()), _) => {}
                (Err(source), OnFailure::Deny) => return Err(Error::Open { to, source }),
                // The writer tries again.
                (Err(error), OnFailure::Continue) => tracing::error!(to, %error, "audit"),
            }
            let queue = Arc::new(Queue::new(config.queue));
            let (own, metrics) = (Arc::clone(&queue), Arc::clone(&metrics));
            let ended = ended.clone().drop_guard();
            let run = move || {
                writer::run(&own, sink, &metrics);
                drop(ended);
            };
            let thread = thread::Builder::new().name("audit".to_owned()).spawn(run);
            // It is waited for by its token, which can be given up.
            thread.map(|_| queue).map_err(Error::Thread)
        });
        Ok(Self {
            queue: queue.transpose()?,
            on_failure,
            metrics,
            ended,
        })
    }

    /// Records, if there is room. Never waits.
    pub fn record(&self, event: &Event<'_>) -> Result<(), Unwritable> {
        let Some(queue) = &self.queue else {
            return Ok(());
        };
        queue.put(&event.line()).map_err(|Refused { why, first }| {
            self.metrics.audit("lost", 1);
            if first {
                tracing::error!("{why}: events are lost");
            }
            Unwritable
        })
    }

    /// Records what may go on only if it was recorded, where that is configured.
    pub(crate) fn require(&self, event: &Event<'_>) -> Result<(), Unwritable> {
        match self.on_failure {
            OnFailure::Deny if self.queue.as_ref().is_some_and(|queue| queue.fails()) => {
                Err(Unwritable)
            }
            OnFailure::Deny => self.record(event),
            OnFailure::Continue => {
                // It is counted.
                let _ = self.record(event);
                Ok(())
            }
        }
    }

    /// Has the rest written, as far as that can be done in time.
    pub async fn finish(&self) {
        let Some(queue) = &self.queue else {
            return;
        };
        queue.close();
        if timeout(LAST_LINES, self.ended.cancelled()).await.is_err() {
            tracing::error!("the audit log takes no more: its last events are lost");
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.close();
        }
    }
}
