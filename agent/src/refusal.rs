//! Why a session does not come about, as one plain sentence for the user that names the leg and
//! what to do; the cause itself goes to the log.

use podgate_proto::limits::{LINK_VERSIONS, RELEASE};
use podgate_proto::v1::Versions;
use podgate_proto::v1::failed::Reason;

use crate::kubelet::{Error, dial, pods, upgrade};

/// Bytes of a frontdoor's release that are shown.
const MAX_RELEASE: usize = 64;

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
        // What a peer says of itself is not trusted to be short.
        let release = match release.get(..MAX_RELEASE).unwrap_or(release) {
            "" => "unknown",
            release => release,
        };
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

    /// The frontdoor said something that means nothing.
    pub(crate) fn protocol(message: &str) -> Self {
        Self::same(Reason::Protocol, message.to_owned())
    }

    /// An action of the protocol that this agent does not serve.
    pub(crate) fn unsupported() -> Self {
        let message = "the agent on the pod's node serves only shells and commands";
        Self::same(Reason::Unsupported, message.to_owned())
    }

    /// The agent cannot record what it would honour.
    pub(crate) fn unrecorded() -> Self {
        let message =
            "the agent on the pod's node cannot write its audit log, and starts nothing meanwhile";
        Self::same(Reason::Denied, message.to_owned())
    }

    /// As many sessions run as may.
    pub(crate) fn full() -> Self {
        let message = "the pod's node has as many sessions as it may have; try again later";
        Self::same(Reason::Full, message.to_owned())
    }

    /// The agent takes no new sessions.
    pub(crate) fn draining() -> Self {
        let message = "the agent on the pod's node is being stopped; try again in a moment";
        Self::same(Reason::Shutdown, message.to_owned())
    }

    fn same(reason: Reason, message: String) -> Self {
        Self {
            reason,
            cause: message.clone(),
            message,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let (reason, message) = match &error {
            Error::Dial(error) | Error::Pods(pods::Error::Dial(error)) => dialled(error),
            Error::Upgrade(upgrade::Error::Refused { status, text }) => refused(*status, text),
            Error::Upgrade(error) => unreachable(error),
            Error::Pods(error) => pod(error),
            Error::Token { .. } => (
                Reason::KubeletRefused,
                "the agent cannot read its token for the kubelet; see the agent's log".into(),
            ),
            Error::Denied(error) if error.is_rule() => (Reason::Denied, error.to_string()),
            Error::Denied(error) => (Reason::Grant, error.to_string()),
            Error::Exec(error) => unreachable(error),
            Error::Command(error) => (Reason::Command, error.to_string()),
            Error::Runtime(text) => {
                (Reason::Exec, format!("the runtime could not start the program: {text}"))
            }
            Error::Wrapper(_) | Error::HangUp(_) | Error::HangUpTimeout => {
                (Reason::Exec, error.to_string())
            }
            Error::NoShell => (
                Reason::NoShell,
                "this image has no shell; run one of its programs instead: ssh TARGET /path/to/program ARGUMENTS".into(),
            ),
            Error::StartTimeout => (
                Reason::KubeletUnreachable,
                format!("the kubelet on the pod's node or its runtime is slow or silent: {error}"),
            ),
        };
        Self {
            reason,
            message,
            cause: chain(&error),
        }
    }
}

fn dialled(error: &dial::Error) -> (Reason, String) {
    match error {
        dial::Error::Tls { source, .. } => (
            Reason::KubeletUntrusted,
            format!(
                "the kubelet on the pod's node is not trusted by the agent ({source}); check kubelet.ca and kubelet.serverName"
            ),
        ),
        error => unreachable(error),
    }
}

fn unreachable(error: &impl ToString) -> (Reason, String) {
    let message = format!(
        "the kubelet on the pod's node cannot be reached: {}",
        error.to_string()
    );
    (Reason::KubeletUnreachable, message)
}

fn refused(status: u16, text: &str) -> (Reason, String) {
    match status {
        401 => (
            Reason::KubeletRefused,
            "the kubelet on the pod's node refused the agent (401): it does not know its token or certificate".into(),
        ),
        403 => (
            Reason::KubeletRefused,
            format!(
                "the kubelet on the pod's node refused the agent ({status}): its identity needs create on nodes/proxy"
            ),
        ),
        404 => (Reason::PodChanged, "the pod is gone from its node".into()),
        500 if text.starts_with("container not found") => {
            (Reason::PodChanged, "the container is not running".into())
        }
        _ => (
            Reason::KubeletRefused,
            format!("the kubelet on the pod's node refused the exec ({status}): {text}"),
        ),
    }
}

fn pod(error: &pods::Error) -> (Reason, String) {
    match error {
        error if error.container_gone() => (Reason::PodChanged, format!("{error}; try again")),
        pods::Error::Refused(status) => (
            Reason::KubeletRefused,
            format!(
                "the kubelet on the pod's node refused to name its pods to the agent ({}): its identity needs get on nodes/pods, or on nodes/proxy before 1.33 (kubelet.fineGrainedAuthorization)",
                status.as_u16()
            ),
        ),
        error => unreachable(error),
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
