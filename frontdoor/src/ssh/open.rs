//! From a target to a stream at the pod's agent: Target, permission, Pod, Grant, stream. Each step's
//! failure is one plain sentence for the user.

use std::time::Instant;

use podgate_proto::v1::{Exec, open::Action};

use super::connection::Worker;
use super::jump;
use crate::agents::{self, Ids, Stream};
use crate::audit::{By, Session, Unwritable};
use crate::authz::Rights;
use crate::identity::Identity;
use crate::route::Seat;
use crate::target::Target;
use crate::{authz, route};

/// Which step failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Authz(#[from] authz::Error),
    #[error(transparent)]
    Route(#[from] route::Error),
    #[error(transparent)]
    Agents(#[from] agents::Error),
    #[error(transparent)]
    Audit(#[from] Unwritable),
}

impl Error {
    /// What refused the session; `None` where it had begun.
    pub(super) fn by(&self) -> Option<By> {
        match self {
            Self::Authz(authz::Error::Rule(_)) => Some(By::Rule),
            Self::Authz(authz::Error::Denied(_) | authz::Error::Review(_)) => {
                Some(By::Authorization)
            }
            Self::Authz(_) | Self::Route(_) => Some(By::Route),
            Self::Audit(_) => Some(By::Audit),
            Self::Agents(_) => None,
        }
    }
}

/// What all steps come to.
pub(super) struct Opened {
    pub(super) stream: Stream,
    /// What the session stands on.
    pub(super) rights: Rights,
    /// Its place in the pod.
    pub(super) seat: Seat,
    /// What of the way is for someone at a terminal to know.
    pub(super) said: Option<String>,
}

/// Takes all steps. In a jump `inner` is the inner login's name.
pub(super) async fn open(
    worker: &Worker,
    identity: &Identity,
    target: &Target,
    ids: Ids<'_>,
    exec: Exec,
    inner: Option<&str>,
    record: &Session<'_>,
) -> Result<Opened, Error> {
    let authorizer = &worker.authorizer;
    let permit = authorizer
        .authorize(identity, target, authz::Action::Exec)
        .await?;
    let begun = Instant::now();
    let place = worker.router.resolve(target).await?;
    worker.metrics.leg("route", begun);
    let route::Place {
        pod,
        container,
        selector,
        seat,
    } = place;
    let (container, said) = match inner {
        None => (container, None),
        Some(inner) => jump::container(inner, target, &pod, container),
    };
    let said = match target {
        Target::Pod { .. } => said,
        _ => {
            let (pod, namespace, container) = (&pod.name, &pod.namespace, &container.name);
            Some(format!("pod {pod} in {namespace}, container {container}"))
        }
    };
    record.found(&pod, &container);
    let permit = authorizer.narrow(permit, &pod, selector.as_ref()).await?;
    let rights = authorizer.stand(&permit);
    let agent = worker.router.agent(&pod)?;
    let grant = permit.grant(&pod, &container)?;
    record.begins()?;
    tracing::info!(
        namespace = %pod.namespace, pod = %pod.name, container = %container.name, node = %pod.node,
        "session begins"
    );
    let begun = Instant::now();
    let stream = worker
        .agents
        .open(grant, agent, ids, Action::Exec(exec))
        .await?;
    worker.metrics.leg("agent", begun);
    Ok(Opened {
        stream,
        rights,
        seat,
        said,
    })
}

/// What the user reads. The cause's own words are for the log, unless they help the user.
pub(super) fn sentence(error: &Error) -> String {
    match error {
        Error::Authz(error @ authz::Error::Review(_)) => {
            tracing::warn!(%error, "the API server");
            "the Kubernetes API server cannot be asked whether you may; try again, or see the frontdoor's log".to_owned()
        }
        Error::Route(error @ route::Error::Ask(_)) => {
            tracing::warn!(%error, "the API server");
            "the Kubernetes API server cannot be asked for the pod; try again, or see the frontdoor's log".to_owned()
        }
        error => error.to_string(),
    }
}
