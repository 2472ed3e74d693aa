//! What every runtime does. A runtime starts nothing before it knows that the granted container is
//! the live one and that no rule of this node denies it.

use std::fmt::Debug;

use async_trait::async_trait;
use podgate_proto::v1::{Exec, WorkingDirectory};

use super::error::Error;
use super::running::Running;
use super::trace::Trace;
use crate::grant::Granted;
use crate::streams::Streams;

/// Runs programs in containers.
#[async_trait]
pub(crate) trait Runtime: Debug + Send + Sync {
    /// Its word in audit events and metrics.
    fn word(&self) -> &'static str;

    /// Starts a program, or gives up after [`START_TIMEOUT`](super::error::START_TIMEOUT).
    async fn start(&self, start: &Start<'_>) -> Result<Started, NotStarted>;

    /// Takes over a program that an earlier agent has started, or may have.
    fn resume(&self, session: &str, granted: &Granted, trace: &Trace) -> Box<dyn Running>;

    /// Whether no rule of this node denies what is granted, by what is known of the pod.
    async fn allows(&self, granted: &Granted) -> Result<(), Error>;

    /// Waits until the granted container is no more, and says why in words for the user. A runtime whose
    /// programs surely end with their container need not notice.
    async fn until_gone(&self, granted: &Granted) -> String;

    /// Why the granted container is no more, or `None` if it is the live one. Called when a program
    /// was killed, so it waits as long as the runtime may take to notice.
    async fn why_gone(&self, granted: &Granted) -> Option<String>;
}

/// A program that is to be started.
pub(crate) struct Start<'a> {
    pub(crate) granted: &'a Granted,
    /// Who acts.
    pub(crate) user: &'a str,
    /// The session's id, 32 hex digits.
    pub(crate) session: &'a str,
    pub(crate) exec: &'a Exec,
    pub(crate) folder: WorkingDirectory,
    pub(crate) record: &'a dyn Record,
}

/// Records what finds a program again if this agent crashes. A runtime records a trace before it starts
/// anything, and again whenever it knows more.
#[async_trait]
pub(crate) trait Record: Sync {
    async fn record(&self, trace: Trace);
}

/// A program that runs.
pub(crate) struct Started {
    pub(crate) streams: Streams,
    pub(crate) running: Box<dyn Running>,
}

/// A program that does not run, as far as is known.
pub(crate) struct NotStarted {
    pub(crate) error: Error,
    /// Set if the program may have started all the same, or may still start. It must then be ended.
    pub(crate) running: Option<Box<dyn Running>>,
}

impl From<Error> for NotStarted {
    fn from(error: Error) -> Self {
        Self {
            error,
            running: None,
        }
    }
}
