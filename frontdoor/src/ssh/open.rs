//! From a request to a stream at the pod's agent, for any action: target, permit, pod, grant, stream.
//! If a step fails, the user reads one plain sentence.

use std::time::Instant;

use podgate_proto::v1;
use podgate_proto::v1::open::Action;

use super::context::Context;
use super::gate::FilesGate;
use super::jump;
use crate::agents::{self, Ids, Stream};
use crate::audit::{RefusedBy, Session, Unwritable};
use crate::authz::Rights;
use crate::login_name::Target;
use crate::lookups::TooMany;
use crate::recordings::{Plan, Recording};
use crate::route::PodSlot;
use crate::{authz, recordings, route};
use podgate_identity::Identity;

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
    #[error(
        "the pod shares its node's network, and connections into such pods are not allowed here (forwards.hostNetwork)"
    )]
    HostNetwork,
    #[error(transparent)]
    Recording(#[from] recordings::Impossible),
}

impl Error {
    /// `None` if the session had begun, because then nobody refused it.
    pub(super) fn refused_by(&self) -> Option<RefusedBy> {
        match self {
            Self::Recording(_) => Some(RefusedBy::Recording),
            error if error.limit().is_some() => Some(RefusedBy::Limit),
            Self::Authz(authz::Error::Rule(_)) | Self::HostNetwork => Some(RefusedBy::Rule),
            Self::Authz(authz::Error::Denied(_) | authz::Error::Review(_)) => {
                Some(RefusedBy::Authorization)
            }
            Self::Authz(_) | Self::Route(_) => Some(RefusedBy::Route),
            Self::Audit(_) => Some(RefusedBy::Audit),
            Self::Agents(_) => None,
        }
    }

    /// The key of the limit that refused the session, if one did.
    pub(super) fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Authz(authz::Error::TooMany(_)) => Some(TooMany::LIMIT),
            Self::Route(error) => error.limit(),
            Self::Recording(_) => Some(recordings::Impossible::LIMIT),
            Self::Authz(_) | Self::Audit(_) | Self::Agents(_) | Self::HostNetwork => None,
        }
    }
}

/// An open stream, and what must be held for as long.
pub(super) struct Opened {
    pub(super) stream: Stream,
    /// The rights that the session depends on.
    pub(super) rights: Rights,
    pub(super) pod_slot: PodSlot,
    /// A notice to print on a terminal.
    pub(super) notice: Option<String>,
    pub(super) recording: Option<Recording>,
    /// Where the session may do only a part of what its protocol can.
    pub(super) gate: Option<FilesGate>,
}

/// Takes all steps. In a jump `inner` is the login name of the inner connection.
pub(super) async fn open(
    context: &Context,
    identity: &Identity,
    target: &Target,
    ids: Ids<'_>,
    action: Action,
    inner: Option<&str>,
    record: &Session<'_>,
) -> Result<Opened, Error> {
    let authorizer = &context.authorizer;
    let permit = authorizer.authorize(identity, target, &action).await?;
    let begun = Instant::now();
    let route::Destination {
        pod,
        container,
        selector,
        pod_slot,
    } = context.router.resolve(target, &identity.user).await?;
    context.metrics.leg("route", begun);
    let (container, named) = match inner {
        None => (container, None),
        Some(inner) => jump::container(inner, target, &pod, container),
    };
    let notice = match target {
        Target::Pod { .. } => named,
        _ => {
            let (pod, namespace, container) = (&pod.name, &pod.namespace, &container.name);
            Some(format!("pod {pod} in {namespace}, container {container}"))
        }
    };
    record.found(&pod, &container);
    let permit = authorizer.narrow(permit, &pod, selector.as_ref()).await?;
    let opens_ports = matches!(action.kind(), v1::Action::Dial | v1::Action::Listen);
    if opens_ports && pod.host_network && !context.forwards.host_network {
        return Err(Error::HostNetwork);
    }
    let rights = authorizer.watch(&permit);
    let agent = context.router.agent(&pod)?;
    let grant = permit.grant(&pod, &container)?;
    let (recordings, place) = (context.recordings.as_deref(), (&pod, &container));
    let plan = recordings::plan(recordings, identity, place, &action, record, ids.session)?;
    record.begins()?;
    tracing::info!(
        namespace = %pod.namespace, pod = %pod.name, container = %container.name, node = %pod.node,
        "session begins"
    );
    let begun = Instant::now();
    let gate = FilesGate::of(&action, grant.files());
    let asked = (action, context.sessions.working_directory);
    let stream = context.agents.open(grant, agent, ids, asked).await?;
    context.metrics.leg("agent", begun);
    Ok(Opened {
        stream,
        rights,
        pod_slot,
        notice,
        recording: plan.map(Plan::begin),
        gate,
    })
}

/// What the user reads. The API server's own words are for the log.
pub(super) fn sentence(error: &Error) -> String {
    match error {
        Error::Authz(error @ authz::Error::Review(_)) => {
            tracing::warn!(%error, "the API server");
            "the Kubernetes API server cannot be asked whether you may enter the pod; try again, or see the frontdoor's log".to_owned()
        }
        Error::Route(error @ route::Error::Ask(_)) => {
            tracing::warn!(%error, "the API server");
            "the Kubernetes API server cannot be asked where the pod is; try again, or see the frontdoor's log".to_owned()
        }
        error => error.to_string(),
    }
}
