//! Why the kubelet did not do what it was asked, and what the user is told of it.

use std::path::PathBuf;

use super::{dial, pods, upgrade};
use crate::runtime::error::{self, Failure, START_TIMEOUT};
use crate::runtime::running;
use crate::shell::hangup;
use crate::trouble::Trouble;
use crate::{exec, grant, node_helper};

/// Why the kubelet did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Dial(#[from] dial::Error),
    #[error(transparent)]
    Upgrade(#[from] upgrade::Error),
    #[error(transparent)]
    Pods(#[from] pods::Error),
    #[error(transparent)]
    Denied(#[from] grant::Error),
    #[error(transparent)]
    Exec(#[from] exec::Error),
    #[error("cannot read the kubelet token {path}: {source}")]
    Token {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    PortForward(#[from] exec::port_forward::Error),
    #[error("the program did not start within {START_TIMEOUT:?}")]
    StartTimeout,
    /// Reported by a shell that goes on trying.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    #[error(transparent)]
    HangUp(#[from] hangup::Error),
    #[error("the hang-up script did not end in time")]
    HangUpTimeout,
}

impl Error {
    /// Whether it says that the granted container is no more.
    fn container_gone(&self) -> bool {
        match self {
            Self::Pods(error) => error.container_gone(),
            Self::Upgrade(upgrade::Error::Refused { status, text }) => {
                *status == 404
                    || text.starts_with("container not found")
                    // containerd, where the kubelet has not noticed yet.
                    || text.contains("container is in CONTAINER_EXITED state")
            }
            _ => false,
        }
    }
}

impl From<Error> for running::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::HangUp(hangup::Error::InDoubt) => Self::InDoubt,
            error if error.container_gone() => Self::ContainerGone(Box::new(error)),
            error => Self::Failed(Box::new(error)),
        }
    }
}

impl From<node_helper::Error> for running::Error {
    fn from(error: node_helper::Error) -> Self {
        match error {
            node_helper::Error::InDoubt => Self::InDoubt,
            error => Self::Failed(Box::new(error)),
        }
    }
}

impl From<Error> for error::Error {
    fn from(error: Error) -> Self {
        let (leg, sentence): (fn(Failure) -> Self, _) = match &error {
            Error::Dial(error) | Error::Pods(pods::Error::Dial(error)) => dialled(error),
            Error::Upgrade(upgrade::Error::Refused { status, text }) => refused(*status, text),
            Error::Upgrade(error) => unreachable(error),
            Error::Pods(error) => pod(error),
            Error::Token { .. } => (
                Self::Refused,
                "the agent cannot read its token for the kubelet; see the agent's log".into(),
            ),
            Error::Exec(error) => unreachable(error),
            Error::PortForward(error) => unreachable(error),
            Error::StartTimeout => (
                Self::TimedOut,
                format!(
                    "the kubelet on the pod's node or its runtime did not answer in time: {error}"
                ),
            ),
            Error::Denied(error) => return Self::Denied(error.clone()),
            Error::HangUp(_) | Error::HangUpTimeout | Error::Trouble(_) => {
                (Self::Runtime, error.to_string())
            }
        };
        leg(Failure::new(sentence, error))
    }
}

/// The leg that failed, and the user's sentence.
type Said = (fn(Failure) -> error::Error, String);

fn dialled(error: &dial::Error) -> Said {
    match error {
        dial::Error::Tls { source, .. } => (
            error::Error::Untrusted,
            format!(
                "the kubelet on the pod's node is not trusted by the agent ({source}); check kubelet.ca and kubelet.serverName"
            ),
        ),
        error => unreachable(error),
    }
}

fn unreachable(error: &impl ToString) -> Said {
    let sentence = format!(
        "the kubelet on the pod's node cannot be reached: {}",
        error.to_string()
    );
    (error::Error::Unreachable, sentence)
}

fn refused(status: u16, text: &str) -> Said {
    match status {
        401 => (
            error::Error::Refused,
            "the kubelet on the pod's node refused the agent (401): it does not accept the agent's token or certificate".into(),
        ),
        403 => (
            error::Error::Refused,
            format!(
                "the kubelet on the pod's node refused the agent ({status}): the agent's identity needs create on nodes/proxy"
            ),
        ),
        404 => (error::Error::Changed, "the pod is gone from its node".into()),
        500 if text.starts_with("container not found") => {
            (error::Error::Changed, "the container is not running".into())
        }
        _ => (
            error::Error::Refused,
            format!("the kubelet on the pod's node refused the exec ({status}): {text}"),
        ),
    }
}

fn pod(error: &pods::Error) -> Said {
    match error {
        error if error.container_gone() => (error::Error::Changed, format!("{error}; try again")),
        pods::Error::NoPods => (
            error::Error::Unreachable,
            "the kubelet on the pod's node is not ready yet: it knows no pods so far; try again in a moment".into(),
        ),
        pods::Error::Refused(status) => (
            error::Error::Refused,
            format!(
                "the kubelet on the pod's node refused to list its pods for the agent ({}): the agent's identity needs get on nodes/pods, or on nodes/proxy for kubelets before 1.33 (kubelet.fineGrainedAuthorization)",
                status.as_u16()
            ),
        ),
        error => unreachable(error),
    }
}
