//! Where a target leads: to a container of a pod.

use super::error::Error;
use super::loads::PodSlot;
use super::record::Record;
use crate::login_name::Selector;
use crate::pod::{Container, Pod};

/// Where a session goes.
#[derive(Debug)]
pub(crate) struct Destination {
    pub pod: Pod,
    pub container: Container,
    /// The selector that selected the pod, if the target was not a pod's name.
    pub selector: Option<Selector>,
    /// Counts the session among those of the pod.
    pub pod_slot: PodSlot,
}

impl Destination {
    /// A pod of `namespace`, and in it the container that was asked for, or else the default one.
    pub(super) fn new(
        namespace: &str,
        record: &Record,
        container: Option<&str>,
        pod_slot: PodSlot,
    ) -> Result<Self, Error> {
        if !record.uid.is_known() {
            return Err(Error::Uid(record.name.to_string()));
        }
        let pod = record.pod(namespace);
        let pod = pod.ok_or_else(|| Error::NotScheduled(record.name.to_string()))?;
        Ok(Self {
            container: choose(&pod, container)?.clone(),
            pod,
            selector: None,
            pod_slot,
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
