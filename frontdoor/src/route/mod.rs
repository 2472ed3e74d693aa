//! Where a target runs, as the watch of the cluster's pods has it. A pod that it has not seen, or of
//! which no container runs there, is read once from the API server.

mod agents;
mod client;
mod pods;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use kube::api::Api;
use tokio::time::timeout;

use crate::target::{Container, Pod, Target};
pub use agents::AgentPods;
pub use pods::Pods;

use client::ANSWER_TIMEOUT;

/// The container that `kubectl exec` chooses, too (KEP-2227).
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
/// On the API server's copy of a static pod: the UID that its kubelet knows it by.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Why a target leads nowhere.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error("the API server could not be asked for the pod: {0}")]
    Ask(kube::Error),
    #[error("the API server did not answer within {ANSWER_TIMEOUT:?}")]
    Timeout,
    #[error("workloads, services and labels are not served yet; name a pod")]
    NotServed,
    // The words of a pod that one may not enter.
    #[error("no pod {pod} in namespace {namespace}, or you may not enter it")]
    NoPod { namespace: String, pod: String },
    #[error("pod {0} is not on a node yet")]
    NotScheduled(String),
    #[error("no agent of podgate runs on the pod's node, {0}")]
    NoAgent(String),
    #[error("no container {container} in pod {pod}; it has {has}")]
    NoContainer {
        pod: String,
        container: String,
        has: String,
    },
}

/// Looks pods up; one a core.
#[derive(Clone)]
pub struct Router {
    client: kube::Client,
    pods: Arc<Pods>,
    agents: Option<Arc<AgentPods>>,
}

impl Router {
    /// Reads the kubeconfig, or the cluster's own configuration where there is none. To be called
    /// on the runtime that uses it. What watches know is in `pods` and `agents`, for all cores;
    /// without the latter agents are where their nodes are.
    pub async fn connect(
        kubeconfig: Option<&Path>,
        pods: Arc<Pods>,
        agents: Option<Arc<AgentPods>>,
    ) -> Result<Self, Error> {
        Ok(Self {
            client: client::connect(kubeconfig).await?,
            pods,
            agents,
        })
    }

    /// The client of the API server that it asks by.
    pub(crate) fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Follows the cluster's pods, for ever; for one core alone.
    pub(crate) async fn follow(&self) {
        self.pods.follow(self.client.clone()).await;
    }

    /// Follows the agents' own pods, for ever, if they are dialled there; for one core alone.
    pub(crate) async fn follow_agents(&self) {
        match &self.agents {
            Some(agents) => agents.follow(self.client.clone()).await,
            None => std::future::pending().await,
        }
    }

    /// Where the agent of a pod's node is dialled.
    pub fn agent(&self, pod: &Pod) -> Result<IpAddr, Error> {
        match &self.agents {
            None => Ok(pod.node_address),
            Some(agents) => {
                let found = agents.on(&pod.node);
                found.ok_or_else(|| Error::NoAgent(pod.node.clone()))
            }
        }
    }

    /// The pod that a target names, and the container of it.
    pub async fn resolve(&self, target: &Target) -> Result<(Pod, Container), Error> {
        let Target::Pod {
            namespace,
            name,
            container,
        } = target
        else {
            return Err(Error::NotServed);
        };
        if let Some(pod) = self.pods.find(namespace, name)
            && let Ok(container) = choose(&pod, container.as_deref())
            && container.running.is_some()
        {
            return Ok(((*pod).clone(), container.clone()));
        }
        let pod = self.read(namespace, name).await?;
        let container = choose(&pod, container.as_deref())?.clone();
        Ok((pod, container))
    }

    /// Reads one pod from the API server.
    async fn read(&self, namespace: &str, name: &str) -> Result<Pod, Error> {
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), namespace);
        let found = timeout(ANSWER_TIMEOUT, api.get_opt(name))
            .await
            .map_err(|_| Error::Timeout)?
            .map_err(Error::Ask)?
            .ok_or_else(|| Error::NoPod {
                namespace: namespace.to_owned(),
                pod: name.to_owned(),
            })?;
        reduce(found).ok_or_else(|| Error::NotScheduled(name.to_owned()))
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

/// A pod down to what a session needs; `None` where it is on no node.
fn reduce(pod: core::Pod) -> Option<Pod> {
    let spec = pod.spec?;
    let status = pod.status.unwrap_or_default();
    let node_address: IpAddr = status.host_ip?.parse().ok()?;
    let statuses = [
        status.container_statuses,
        status.init_container_statuses,
        status.ephemeral_container_statuses,
    ];
    let running: HashMap<String, String> = statuses
        .into_iter()
        .flatten()
        .flatten()
        .filter(|status| {
            status
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some())
        })
        .filter_map(|status| Some((status.name, status.container_id?)))
        .collect();
    let ordinary = spec.containers.into_iter().map(|c| c.name);
    let init = spec.init_containers.into_iter().flatten().map(|c| c.name);
    let ephemeral = spec
        .ephemeral_containers
        .into_iter()
        .flatten()
        .map(|c| c.name);
    let containers = ordinary
        .chain(init)
        .chain(ephemeral)
        .map(|name| Container {
            running: running.get(&name).cloned(),
            name,
        })
        .collect();
    let mut annotations = pod.metadata.annotations.unwrap_or_default();
    Some(Pod {
        namespace: pod.metadata.namespace?,
        name: pod.metadata.name?,
        uid: annotations.remove(MIRROR).or(pod.metadata.uid)?,
        node: spec.node_name?,
        node_address,
        host_network: spec.host_network.unwrap_or_default(),
        labels: pod.metadata.labels.unwrap_or_default(),
        runtime_class: spec.runtime_class_name,
        containers,
        default_container: annotations.remove(DEFAULT_CONTAINER),
    })
}

/// The container asked for, else the pod's default, else its first.
fn choose<'a>(pod: &'a Pod, asked: Option<&str>) -> Result<&'a Container, Error> {
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

#[cfg(test)]
mod tests;
