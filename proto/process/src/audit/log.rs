//! Takes events from all cores, and applies the rule for a log that cannot be written.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::config::{Config, OnFailure, To};
use super::queue::{Queue, Refused};
use super::sink::Sink;
use super::writer;
use crate::metrics::Outcomes;

/// Time for the last lines, once nothing more is recorded.
const LAST_LINES: Duration = Duration::from_secs(5);

/// The audit log cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot write to {to}: {reason}")]
    Open { to: String, reason: io::Error },
    #[error("cannot start the writer: {0}")]
    Thread(io::Error),
}

/// An event was not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct Unwritable;

/// A program's audit log.
#[derive(Debug)]
pub struct AuditLog {
    /// None if nothing is recorded.
    queue: Option<Arc<Queue>>,
    on_failure: OnFailure,
    events: Outcomes,
    /// Cancelled when the writer has ended.
    ended: CancellationToken,
}

impl AuditLog {
    /// Opens the file or standard output, and starts the writer. `events` counts events by outcome,
    /// `written` or `lost`.
    pub fn start(config: &Config, events: Outcomes) -> Result<Self, Error> {
        let mut this = Self {
            queue: None,
            on_failure: config.on_failure,
            events,
            ended: CancellationToken::new(),
        };
        let (mut sink, to) = match &config.to {
            To::Nowhere => return Ok(this),
            To::Stdout => (Sink::stdout(), "stdout".to_owned()),
            To::File(path) => (Sink::file(path), path.display().to_string()),
        };
        match (sink.open(), config.on_failure) {
            (Ok(()), _) => {}
            (Err(reason), OnFailure::Deny) => return Err(Error::Open { to, reason }),
            // The writer tries again.
            (Err(error), OnFailure::Continue) => tracing::error!(to, %error, "audit"),
        }
        let queue = Arc::new(Queue::new(config.queue));
        let (own, events) = (Arc::clone(&queue), this.events.clone());
        let ended = this.ended.clone().drop_guard();
        let run = move || {
            writer::run(&own, sink, &events);
            drop(ended);
        };
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(run);
        // It is waited for by its token, and not joined: it may hang in a write.
        thread.map_err(Error::Thread)?;
        this.queue = Some(queue);
        Ok(this)
    }

    /// Records an event if there is room. Never waits. A loss is counted.
    pub fn record(&self, event: &impl Serialize) -> Result<(), Unwritable> {
        let Some(queue) = &self.queue else {
            return Ok(());
        };
        let mut line = serde_json::to_vec(event).unwrap_or_default();
        line.push(b'\n');
        queue.put(&line).map_err(|Refused { why, first }| {
            self.events.get_or_create(&"lost".into()).inc();
            if first {
                tracing::error!("{why}: events are lost");
            }
            Unwritable
        })
    }

    /// Records an event. Fails if `onFailure` is `deny` and the event may be lost; what it records must
    /// not happen then.
    pub fn require(&self, event: &impl Serialize) -> Result<(), Unwritable> {
        match self.on_failure {
            OnFailure::Deny if self.queue.as_ref().is_some_and(|queue| queue.fails()) => {
                Err(Unwritable)
            }
            OnFailure::Deny => self.record(event),
            OnFailure::Continue => {
                // The loss is counted.
                let _ = self.record(event);
                Ok(())
            }
        }
    }

    /// Ends the log, and waits a bounded time for the lines that are left.
    pub async fn finish(&self) {
        let Some(queue) = &self.queue else {
            return;
        };
        queue.close();
        if timeout(LAST_LINES, self.ended.cancelled()).await.is_err() {
            tracing::error!(
                "the audit log could not be written to its end; its last events are lost"
            );
        }
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.close();
        }
    }
}
