//! A pod, reduced to what routing needs, in little memory: a cluster has a hundred thousand of them.
//! Values that pods have in common are shared.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use super::ids::{ContainerId, Uid};
use super::pod_object::{ContainerFields, PodFields};
use super::pool::Pool;
use crate::config::ClusterBounds;
use crate::login_name::Selector;
use crate::pod::{Container, Pod};

/// A label's key and value.
type Label = (Arc<str>, Arc<str>);

/// Bytes of a container beside its name and its id's text, roughly.
const CONTAINER: usize = 48;

#[derive(Debug)]
pub(super) struct Record {
    pub(super) name: Box<str>,
    /// As its kubelet knows it.
    pub(super) uid: Uid,
    /// `None` until it is scheduled.
    pub(super) node: Option<Arc<str>>,
    address: Option<IpAddr>,
    /// `None` if the pod is too large to be kept whole. Its containers are not kept then, either.
    labels: Option<Arc<[Label]>>,
    /// Names of its containers: the ordinary ones, init, ephemeral.
    containers: Arc<[Arc<str>]>,
    /// The ids of the running ones, in the same order.
    running: Box<[Option<ContainerId>]>,
    runtime_class: Option<Arc<str>>,
    phase: Phase,
    default_container: Option<u16>,
    /// The init container that runs now. The ordinary containers wait for it.
    initializing: Option<Arc<str>>,
    /// How many containers should run, and how many of those are ready.
    wanted: u16,
    at_work: u16,
    /// Whether sessions may be sent there: its condition `Ready` is true, and its UID can be recorded.
    pub(super) ready: bool,
    pub(super) deleted: bool,
    host_network: bool,
    /// The number of the list that it was last seen in, or after.
    pub(super) list: u32,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

/// Values that records share.
#[derive(Debug, Default)]
pub(super) struct Pools {
    words: Pool<str>,
    labels: Pool<[Label]>,
    containers: Pool<[Arc<str>]>,
}

impl Pools {
    fn labels(&mut self, labels: BTreeMap<String, String>) -> Arc<[Label]> {
        let words = &mut self.words;
        let labels = labels
            .iter()
            .map(|(key, value)| (words.share(key.as_str()), words.share(value.as_str())));
        let labels: Vec<_> = labels.collect();
        self.labels.share(&labels)
    }
}

/// Bytes of a pod's labels, and of the names and ids of its containers.
fn size(pod: &PodFields) -> usize {
    let labels = pod.metadata.labels.iter().flatten();
    let labels = labels.map(|(key, value)| key.len() + value.len());
    let (spec, status) = (&pod.spec, &pod.status);
    let containers = [
        &spec.containers,
        &spec.init_containers,
        &spec.ephemeral_containers,
    ];
    let containers = containers.into_iter().flatten().flatten();
    let containers = containers.map(|one| one.name.len() + CONTAINER);
    let statuses = [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ];
    let statuses = statuses.into_iter().flatten().flatten();
    let ids = statuses.map(|one| one.container_id.as_ref().map_or(0, String::len));
    labels.sum::<usize>() + containers.sum::<usize>() + ids.sum::<usize>()
}

impl Record {
    /// `None` for a pod without a name, a namespace or a UID. What is over a bound is not kept.
    pub(super) fn new(
        pod: PodFields,
        list: u32,
        pools: &mut Pools,
        bounds: &ClusterBounds,
    ) -> Option<(String, Self)> {
        let whole = size(&pod) <= bounds.pod_bytes;
        let PodFields {
            metadata,
            spec,
            status,
        } = pod;
        let annotations = metadata.annotations.unwrap_or_default();
        let uid = annotations.mirror.or(metadata.uid)?;
        let uid = Uid::bounded(&uid, bounds.uid_bytes);
        let sidecar = |one: &&ContainerFields| one.restart_policy.as_deref() == Some("Always");
        let (ordinary, init) = (spec.containers, spec.init_containers);
        let wanted = ordinary.iter().flatten();
        let wanted: Vec<_> = wanted
            .chain(init.iter().flatten().filter(sidecar))
            .map(|one| one.name.clone())
            .collect();
        let statuses = [
            status.container_statuses,
            status.init_container_statuses,
            status.ephemeral_container_statuses,
        ];
        let statuses: Vec<_> = statuses.into_iter().flatten().flatten().collect();
        let runs = |name: &str| {
            let status = statuses.iter().find(|status| status.name == name)?;
            status.state.as_ref()?.running.as_ref()?;
            Some(status)
        };
        let mut steps = init.iter().flatten().filter(|one| !sidecar(one));
        let initializing = steps.find(|one| runs(&one.name).is_some());
        let initializing = initializing.filter(|_| whole);
        let initializing = initializing.map(|one| pools.words.share(one.name.as_str()));
        let all = [ordinary, init, spec.ephemeral_containers].into_iter();
        let all = all.filter(|_| whole).flatten().flatten();
        let names: Vec<_> = all
            .map(|one| pools.words.share(one.name.as_str()))
            .collect();
        let at_work = statuses
            .iter()
            .filter(|status| status.ready && wanted.contains(&status.name))
            .count();
        let default = annotations.default_container;
        let default = names
            .iter()
            .position(|name| Some(&**name) == default.as_deref());
        let ready = status.conditions.iter().flatten();
        let ready = ready
            .filter(|condition| condition.kind == "Ready")
            .any(|condition| condition.status == "True");
        let record = Self {
            name: metadata.name?.into(),
            node: spec.node_name.map(|node| pools.words.share(&node)),
            address: status.host_ip.and_then(|ip| ip.parse().ok()),
            labels: whole.then(|| pools.labels(metadata.labels.unwrap_or_default())),
            running: names
                .iter()
                .map(|name| runs(name)?.container_id.as_deref().map(ContainerId::from))
                .collect(),
            containers: pools.containers.share(&names),
            runtime_class: spec
                .runtime_class_name
                .map(|class| pools.words.share(&class)),
            phase: Phase::of(status.phase.as_deref()),
            default_container: default.and_then(|at| at.try_into().ok()),
            initializing,
            wanted: wanted.len().try_into().unwrap_or(u16::MAX),
            at_work: at_work.try_into().unwrap_or(u16::MAX),
            ready: ready && uid.is_known(),
            uid,
            deleted: metadata.deletion_timestamp.is_some(),
            host_network: spec.host_network.unwrap_or_default(),
            list,
        };
        Some((metadata.namespace?, record))
    }

    /// Whether its labels and containers are kept.
    pub(super) fn is_whole(&self) -> bool {
        self.labels.is_some()
    }

    /// The pod as a session needs it; `None` until it is scheduled.
    pub(super) fn pod(&self, namespace: &str) -> Option<Pod> {
        let containers = self.containers.iter().zip(&self.running);
        Some(Pod {
            namespace: namespace.to_owned(),
            name: self.name.as_ref().to_owned(),
            uid: self.uid.to_string(),
            node: self.node.as_deref()?.to_owned(),
            node_address: self.address?,
            host_network: self.host_network,
            runtime_class: self.runtime_class.as_deref().map(str::to_owned),
            labels: self
                .labels
                .iter()
                .flat_map(|labels| labels.iter())
                .map(|(key, value)| (key.as_ref().to_owned(), value.as_ref().to_owned()))
                .collect(),
            containers: containers
                .map(|(name, running)| Container {
                    name: name.as_ref().to_owned(),
                    running: running.as_ref().map(ToString::to_string),
                })
                .collect(),
            default_container: self
                .default_container
                .and_then(|at| self.containers.get(usize::from(at)))
                .map(|name| name.as_ref().to_owned()),
            initializing: self.initializing.as_deref().map(str::to_owned),
        })
    }

    /// Whether a selector selects it; false if its labels are not kept.
    pub(super) fn is_of(&self, selector: &Selector) -> bool {
        let Some(labels) = &self.labels else {
            return false;
        };
        selector.matches(|key| {
            let mut labels = labels.iter();
            labels
                .find(|(here, _)| **here == *key)
                .map(|(_, value)| value.as_ref())
        })
    }

    /// Ready containers, of those that should run: `READY` of kubectl.
    pub(super) fn at_work(&self) -> String {
        format!("{}/{}", self.at_work, self.wanted)
    }

    /// The length of that text in bytes.
    pub(super) fn at_work_width(&self) -> usize {
        let digits = |number: u16| {
            number
                .checked_ilog10()
                .map_or(1, |power| power as usize + 1)
        };
        digits(self.at_work) + 1 + digits(self.wanted)
    }

    /// Its phase, or that it is being deleted.
    pub(super) fn status(&self) -> &'static str {
        match self.phase {
            _ if self.deleted => "Terminating",
            Phase::Pending => "Pending",
            Phase::Running => "Running",
            Phase::Succeeded => "Succeeded",
            Phase::Failed => "Failed",
            Phase::Unknown => "Unknown",
        }
    }
}

impl Phase {
    fn of(word: Option<&str>) -> Self {
        match word {
            Some("Pending") => Self::Pending,
            Some("Running") => Self::Running,
            Some("Succeeded") => Self::Succeeded,
            Some("Failed") => Self::Failed,
            _ => Self::Unknown,
        }
    }
}

/// A record in its namespace, found by its name.
#[derive(Clone, Debug)]
pub(super) struct ByName(pub(super) Arc<Record>);

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        &self.0.name
    }
}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}
