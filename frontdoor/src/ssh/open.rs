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
use crate::authz::{Permit, Rights, is_of_agent};
use crate::login_name::{Selector, Target};
use crate::lookups::TooMany;
use crate::pod::{Container, Pod};
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

/// Where a session goes, and that it may.
pub(super) struct Found<'a> {
    permit: Permit<'a>,
    pub(super) place: Place,
    pod_slot: PodSlot,
    notice: Option<String>,
}

/// One container.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) pod: Pod,
    pub(super) container: Container,
    /// The selector that selected the pod, if the target was not a pod's name.
    selector: Option<Selector>,
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
    (identity, target): (&Identity, &Target),
    ids: Ids<'_>,
    action: Action,
    inner: Option<&str>,
    record: &Session<'_>,
) -> Result<Opened, Error> {
    let found = find(context, (identity, target), &action, inner, record).await?;
    start(context, found, identity, ids, action, record).await
}

/// Takes the steps up to a container.
pub(super) async fn find<'a>(
    context: &Context,
    (identity, target): (&'a Identity, &'a Target),
    action: &Action,
    inner: Option<&str>,
    record: &Session<'_>,
) -> Result<Found<'a>, Error> {
    let authorizer = &context.authorizer;
    let permit = authorizer.authorize(identity, target, action).await?;
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
    if opens_ports(action) && pod.host_network && !context.forwards.host_network {
        return Err(Error::HostNetwork);
    }
    let place = Place {
        pod,
        container,
        selector,
    };
    Ok(Found {
        permit,
        place,
        pod_slot,
        notice,
    })
}

fn opens_ports(action: &Action) -> bool {
    match action {
        Action::Listen(listen) => !is_of_agent(listen),
        action => action.kind() == v1::Action::Dial,
    }
}

/// Starts what was asked for in a container.
pub(super) async fn start(
    context: &Context,
    found: Found<'_>,
    identity: &Identity,
    ids: Ids<'_>,
    action: Action,
    record: &Session<'_>,
) -> Result<Opened, Error> {
    let Found {
        permit,
        place: Place { pod, container, .. },
        pod_slot,
        notice,
    } = found;
    let rights = context.authorizer.watch(&permit);
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

/// Starts something in a container that was found before, by the rights that another action needs.
pub(super) async fn there(
    context: &Context,
    (identity, target): (&Identity, &Target),
    Place {
        pod,
        container,
        selector,
    }: &Place,
    ids: Ids<'_>,
    (of, action): (&Action, Action),
    record: &Session<'_>,
) -> Result<(Stream, Rights), Error> {
    let authorizer = &context.authorizer;
    let permit = authorizer.authorize(identity, target, of).await?;
    record.found(pod, container);
    let permit = authorizer.narrow(permit, pod, selector.as_ref()).await?;
    let rights = authorizer.watch(&permit);
    let agent = context.router.agent(pod)?;
    let grant = permit.grant(pod, container)?;
    record.begins()?;
    let asked = (action, context.sessions.working_directory);
    let stream = context.agents.open(grant, agent, ids, asked).await?;
    Ok((stream, rights))
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
