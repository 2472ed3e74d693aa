//! Where a session goes: a container of a pod, and its place among the pod's sessions.

use super::Error;
use super::loads::Seat;
use super::record::Record;
use crate::login_name::{Container, Pod, Selector};

/// Where a target leads.
#[derive(Debug)]
pub struct Place {
    /// The pod.
    pub pod: Pod,
    /// The container of it.
    pub container: Container,
    /// What selected the pod, where the target is an object that has pods.
    pub selector: Option<Selector>,
    /// The session's place in the pod.
    pub seat: Seat,
}

impl Place {
    /// In a pod of a namespace, and in the container asked for or the one that is chosen without.
    pub(super) fn new(
        namespace: &str,
        record: &Record,
        container: Option<&str>,
        seat: Seat,
    ) -> Result<Self, Error> {
        let pod = record.pod(namespace);
        let pod = pod.ok_or_else(|| Error::NotScheduled(record.name.to_string()))?;
        Ok(Self {
            container: choose(&pod, container)?.clone(),
            pod,
            selector: None,
            seat,
        })
    }
}

/// The container asked for, else the pod's default, else its first.
pub(super) fn choose<'a>(pod: &'a Pod, asked: Option<&str>) -> Result<&'a Container, Error> {
    let named = |name: &str| {
        pod.containers
            .iter()
            .find(|container| container.name == name)
    };
    let found = match (asked, pod.default_container.as_deref()) {
        (Some(asked), _) => named(asked),
        (None, default) => default.and_then(named).or(pod.containers.first()),
    };
    found.ok_or_else(|| Error::NoContainer {
        pod: pod.name.clone(),
        container: asked.unwrap_or_default().to_owned(),
        has: pod
            .containers
            .iter()
            .map(|c| c.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
    })
}
