//! The node's own record of what it was granted: a JSON object a line when something is honoured and when
//! it is over, beside the frontdoor's of the same session. Recording never waits.

mod event;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
pub(crate) use event::{Ended, Honoured};
use writer::Sink;

/// Lines that wait to be written. Each has a bound, too.
const WAITING: usize = 1024;
/// For the last of them, once nothing more is recorded.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Where the lines go, and what holds while they cannot be written.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[allow(missing_docs, reason = "agent.example.yaml has them")]
pub struct Config {
    pub to: To,
    pub on_failure: OnFailure,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            to: To::Stdout,
            on_failure: OnFailure::Deny,
        }
    }
}

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum To {
    /// Nowhere: nothing is recorded.
    Nowhere,
    /// The process's standard output, where nothing else is written.
    Stdout,
    /// A file, opened anew where another stands at its path.
    File(PathBuf),
}

impl TryFrom<String> for To {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "none" => Ok(Self::Nowhere),
            "stdout" => Ok(Self::Stdout),
            path if path.starts_with('/') => Ok(Self::File(path.into())),
            _ => Err(format!(
                "{text:?} is neither stdout, none nor a path from the root"
            )),
        }
    }
}

/// What holds while lines cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Nothing is honoured.
    Deny,
    /// Sessions begin; what has no room is lost, and counted.
    Continue,
}

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot write to {to:?}: {source}")]
    Open { to: To, source: io::Error },
    #[error("cannot start the writer: {0}")]
    Thread(io::Error),
}

/// A grant may not be honoured, since that cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unwritable;

/// Takes what is to be recorded, from all cores.
#[derive(Debug)]
pub(crate) struct Audit {
    on_failure: OnFailure,
    metrics: Arc<Metrics>,
    /// None where nothing is recorded, or nothing more.
    lines: Mutex<Option<SyncSender<Vec<u8>>>>,
    writer: Option<Thread>,
    /// Whether the last line could not be written.
    fails: Arc<AtomicBool>,
    /// Cancelled when a line that cannot be written is not tried again.
    closed: CancellationToken,
    /// Cancelled when the writer has ended.
    ended: CancellationToken,
}

impl Audit {
    /// Opens what is written to, and starts the writer.
    pub(crate) fn start(config: &Config, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let mut this = Self {
            on_failure: config.on_failure,
            metrics: Arc::clone(&metrics),
            lines: Mutex::default(),
            writer: None,
            fails: Arc::default(),
            closed: CancellationToken::new(),
            ended: CancellationToken::new(),
        };
        if config.to == To::Nowhere {
            return Ok(this);
        }
        let mut sink = Sink::new(&config.to);
        match (sink.open(), config.on_failure) {
            (Ok(()), _) => {}
            (Err(source), OnFailure::Deny) => {
                let to = config.to.clone();
                return Err(Error::Open { to, source });
            }
            // The writer tries again.
            (Err(error), OnFailure::Continue) => tracing::error!(%error, "audit"),
        }
        let (sender, lines) = mpsc::sync_channel(WAITING);
        let (fails, closed) = (Arc::clone(&this.fails), this.closed.clone());
        let ended = this.ended.clone().drop_guard();
        let run = move || {
            writer::run(&lines, sink, &fails, &closed, &metrics);
            drop(ended);
        };
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(run);
        // It is waited for by its token, which can be given up.
        this.writer = Some(thread.map_err(Error::Thread)?.thread().clone());
        this.lines = Mutex::new(Some(sender));
        Ok(this)
    }

    /// Records that a grant is honoured, or answers that it may not be.
    pub(crate) fn honours(&self, event: &Honoured<'_>) -> Result<(), Unwritable> {
        let denies = self.on_failure == OnFailure::Deny;
        if denies && self.fails.load(Ordering::Relaxed) {
            return Err(Unwritable);
        }
        match self.record(event::line(event)) {
            Err(Unwritable) if denies => Err(Unwritable),
            _ => Ok(()),
        }
    }

    /// Records its end. A loss is counted.
    pub(crate) fn ended(&self, event: &Ended<'_>) {
        let _ = self.record(event::line(event));
    }

    fn record(&self, line: Vec<u8>) -> Result<(), Unwritable> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lines) = lines.as_ref() else {
            return Ok(());
        };
        lines.try_send(line).map_err(|_| {
            self.metrics.audit("lost");
            tracing::warn!("an event is lost to the audit log, whose queue is full");
            Unwritable
        })
    }

    /// Has the rest written, as far as that can be done in time.
    pub(crate) async fn finish(&self) {
        let lines = self.lines.lock().map(|mut lines| lines.take());
        drop(lines);
        self.closed.cancel();
        let Some(writer) = &self.writer else {
            return;
        };
        writer.unpark();
        if timeout(LAST_LINES, self.ended.cancelled()).await.is_err() {
            tracing::error!("the audit log takes no more: its last events are lost");
        }
    }
}
