//! Why a session does not come about, as one plain sentence for the user that names the leg and
//! what to do; the cause itself goes to the log.

use podgate_proto::limits::{LINK_VERSIONS, RELEASE};
use podgate_proto::shown;
use podgate_proto::v1::Versions;
use podgate_proto::v1::failed::Reason;

use crate::files::{self, NoWorker};
use crate::grant;
use crate::node_entry;
use crate::runtime::Error;
use crate::runtime::dialer;

/// A refused session.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// For the frontdoor.
    pub reason: Reason,
    /// For the user.
    pub message: String,
    /// For the log.
    pub cause: String,
}

impl Refusal {
    /// No version of the link is spoken by both ends.
    pub(crate) fn version(release: &str, theirs: &Versions) -> Self {
        let (ours, Versions { lowest, highest }) = (&LINK_VERSIONS, theirs);
        let release = shown::release(release);
        let message = format!(
            "this frontdoor (release {release}, link versions {lowest} to {highest}) and the agent on the pod's node (release {RELEASE}, link versions {} to {}) are too far apart; run the same release on both",
            ours.start(),
            ours.end()
        );
        Self::same(Reason::Protocol, message)
    }

    /// The first message was no request.
    pub(crate) fn nothing_asked() -> Self {
        Self::protocol("the frontdoor asked for nothing")
    }

    /// The session has no proper id.
    pub(crate) fn session_id() -> Self {
        Self::protocol("the session's id is not 32 hex digits")
    }

    /// The frontdoor said something that means nothing.
    pub(crate) fn protocol(message: &str) -> Self {
        Self::same(Reason::Protocol, message.to_owned())
    }

    /// An action of the protocol that this agent does not serve.
    pub(crate) fn unsupported() -> Self {
        let message = "the agent on the pod's node serves only shells, commands, files and connections to the pod's ports";
        Self::same(Reason::Unsupported, message.to_owned())
    }

    /// The agent cannot record the grant.
    pub(crate) fn unrecorded() -> Self {
        let message =
            "the agent on the pod's node cannot write its audit log, so it starts no session";
        Self::same(Reason::Denied, message.to_owned())
    }

    /// A limit of the node is reached; `what` is `sessions` or the like.
    pub(crate) fn full(what: &str) -> Self {
        let message = format!("the pod's node has reached its limit of {what}; try again later");
        Self::same(Reason::Full, message)
    }

    /// A limit of one user is reached.
    pub(crate) fn full_for_user(what: &str) -> Self {
        let message = format!(
            "you have reached the limit of {what} per user on the pod's node; end one, then try again"
        );
        Self::same(Reason::Full, message)
    }

    /// The agent takes no new sessions.
    pub(crate) fn draining() -> Self {
        let message = "the agent on the pod's node is being stopped; try again in a moment";
        Self::same(Reason::Shutdown, message.to_owned())
    }

    /// This node, or its frontdoor, does not allow it.
    pub(crate) fn denied(message: String) -> Self {
        Self::same(Reason::Denied, message)
    }

    /// No node entry serves it.
    pub(crate) fn needs_entry(message: String) -> Self {
        Self::same(Reason::Unsupported, message)
    }

    /// No listener, or no connection of one.
    pub(crate) fn not_listening(message: String) -> Self {
        Self::same(Reason::Listen, message)
    }

    fn same(reason: Reason, message: String) -> Self {
        Self {
            reason,
            cause: message.clone(),
            message,
        }
    }
}

impl From<grant::Error> for Refusal {
    fn from(error: grant::Error) -> Self {
        let reason = if error.is_rule() {
            Reason::Denied
        } else {
            Reason::Grant
        };
        Self::same(reason, error.to_string())
    }
}

impl From<dialer::Error> for Refusal {
    fn from(error: dialer::Error) -> Self {
        match error {
            dialer::Error::NotConnected(words) => Self::same(Reason::Connect, words),
            dialer::Error::NeedsEntry => Self::same(Reason::Unsupported, error.to_string()),
            dialer::Error::Runtime(error) => error.into(),
        }
    }
}

impl From<files::Error> for Refusal {
    fn from(error: files::Error) -> Self {
        let reason = match error {
            files::Error::Protocol | files::Error::Paths => Reason::Protocol,
            files::Error::Right => Reason::Grant,
            files::Error::Programs(_) => Reason::Denied,
        };
        Self::same(reason, error.to_string())
    }
}

impl From<NoWorker> for Refusal {
    fn from(error: NoWorker) -> Self {
        let reason = match error {
            NoWorker::Runtime(error) => return error.into(),
            NoWorker::Timeout => Reason::KubeletUnreachable,
            NoWorker::Entry(node_entry::Error::Refused(node_entry::Reason::TooMany(_))) => {
                Reason::Full
            }
            _ => Reason::Exec,
        };
        let message = format!("the file server could not be started: {error}");
        Self::same(reason, message)
    }
}

/// A runtime words its own failures.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let cause = chain(&error);
        let (reason, message) = match error {
            Error::Unreachable(failure) | Error::TimedOut(failure) => {
                (Reason::KubeletUnreachable, failure.sentence)
            }
            Error::Untrusted(failure) => (Reason::KubeletUntrusted, failure.sentence),
            Error::Refused(failure) => (Reason::KubeletRefused, failure.sentence),
            Error::Changed(failure) => (Reason::PodChanged, failure.sentence),
            Error::Denied(error) => return error.into(),
            Error::Invalid(failure) => (Reason::Command, failure.sentence),
            Error::Runtime(failure) | Error::Elsewhere { failure, .. } => {
                (Reason::Exec, failure.sentence)
            }
            Error::Full(failure) => (Reason::Full, failure.sentence),
            Error::NoShell => (
                Reason::NoShell,
                "this image has no shell; run one of its programs instead: ssh TARGET /path/to/program ARGUMENTS".into(),
            ),
        };
        Self {
            reason,
            message,
            cause,
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}
