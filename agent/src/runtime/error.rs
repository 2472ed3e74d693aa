//! Why a program did not come to run, by the leg that failed, whichever runtime it was.

use std::fmt;
use std::time::Duration;

use crate::grant;

/// How long a start may take, from the request to the running program. The user hears of a failed
/// leg within 10 s.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(9);

/// Why a program did not come to run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The runtime could not be reached, or the connection to it broke.
    #[error(transparent)]
    Unreachable(Failure),
    /// Whoever answered is not known to be the runtime.
    #[error(transparent)]
    Untrusted(Failure),
    /// The runtime refused the agent.
    #[error(transparent)]
    Refused(Failure),
    /// The granted container is not the live one.
    #[error(transparent)]
    Changed(Failure),
    /// A grant or a rule of this node forbids it.
    #[error(transparent)]
    Denied(#[from] grant::Error),
    /// No program can be made of what was asked for.
    #[error(transparent)]
    Invalid(Failure),
    #[error("the image has no shell")]
    NoShell,
    /// This runtime does not start it, for a reason that has a word in metrics. Nothing was started, and
    /// another runtime may.
    #[error("{failure}")]
    Elsewhere {
        reason: &'static str,
        failure: Failure,
    },
    /// As many programs run, or start, as may.
    #[error(transparent)]
    Full(Failure),
    /// The runtime could not start the program.
    #[error(transparent)]
    Runtime(Failure),
    #[error(transparent)]
    TimedOut(Failure),
}

/// A failure, told twice: in one sentence for the user, and with its cause for the log.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) sentence: String,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl Failure {
    pub(crate) fn new(
        sentence: impl Into<String>,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            sentence: sentence.into(),
            cause: Box::new(cause),
        }
    }

    /// A failure whose cause is said in words for the user.
    pub(crate) fn of(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(cause.to_string(), cause)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}
