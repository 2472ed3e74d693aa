//! Finds the pod that a target leads to, from a watch of the cluster's pods. A pod that the watch has
//! not seen, or whose container does not run there, is read from the API server. Without a watch every
//! pod is. For a workload, a service or labels it picks a ready pod.

mod affinity;
mod agent_pods;
mod answers;
mod cluster;
mod destination;
mod error;
mod ids;
mod listing;
mod loads;
mod pod_object;
mod pod_watch;
mod pods;
mod pool;
mod record;
mod workloads;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use podgate_identity::kubernetes;

use crate::login_name::{NoneReady, Selector, Target};
use crate::pod::Pod;
use record::Record;

pub(crate) use agent_pods::AgentPods;
pub(crate) use answers::Error as AskError;
pub(crate) use cluster::Cluster;
pub(crate) use destination::Destination;
pub(crate) use error::Error;
pub(crate) use listing::Listing;
pub(crate) use loads::PodSlot;

/// Finds where targets lead; one per core.
#[derive(Clone)]
pub(crate) struct Router {
    client: kube::Client,
    cluster: Arc<Cluster>,
    agents: Option<Arc<AgentPods>>,
}

impl Router {
    /// Makes a client from the kubeconfig or, without one, from the pod's own configuration. Call it on
    /// the runtime that uses it. All cores share `cluster` and `agents`. Without `agents`, agents are
    /// dialled at their nodes' addresses.
    pub(crate) async fn connect(
        kubeconfig: Option<&Path>,
        cluster: Arc<Cluster>,
        agents: Option<Arc<AgentPods>>,
    ) -> Result<Self, kubernetes::Error> {
        Ok(Self {
            client: kubernetes::connect_without_retries(kubeconfig).await?,
            cluster,
            agents,
        })
    }

    /// The router's client of the API server.
    pub(crate) fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Follows the cluster's pods, forever, and reports their number. Only one core does this.
    pub(crate) async fn follow(&self, count: impl Fn(usize)) {
        self.cluster.follow(self.client.clone(), count).await;
    }

    /// Follows the agents' own pods, forever, if they are dialled there. Only one core does this.
    pub(crate) async fn follow_agents(&self) {
        match &self.agents {
            Some(agents) => agents.follow(self.client.clone()).await,
            None => std::future::pending().await,
        }
    }

    /// The address of the agent on a pod's node.
    pub(crate) fn agent(&self, pod: &Pod) -> Result<IpAddr, Error> {
        match &self.agents {
            None => Ok(pod.node_address),
            Some(agents) => {
                let found = agents.on(&pod.node);
                found.ok_or_else(|| Error::NoAgent(pod.node.clone()))
            }
        }
    }

    /// Finds where a target leads, and counts a session of `user` there at once.
    pub(crate) async fn resolve(&self, target: &Target, user: &str) -> Result<Destination, Error> {
        match target {
            Target::Pod {
                namespace, name, ..
            } => self.pod(target, user, namespace, name).await,
            Target::Workload {
                kind,
                namespace,
                name,
                ..
            } => {
                let cluster = &self.cluster;
                let selects = cluster.selects(&self.client, user, *kind, namespace, name);
                let selects = selects.await.map_err(|error| failed(target, error))?;
                match &*selects {
                    Ok(selector) => {
                        self.selected(target, user, namespace, selector.clone())
                            .await
                    }
                    Err(reason) => Err(no_pods(target, reason)),
                }
            }
            Target::Labels {
                labels, namespace, ..
            } => {
                let selector = Selector::of_labels(labels);
                self.selected(target, user, namespace, selector).await
            }
            Target::Reserved(_) => Err(Error::Absent(target.absent())),
        }
    }

    /// The namespaces that have pods, by name.
    pub(crate) fn namespaces(&self) -> Result<Vec<String>, Error> {
        match self.cluster.pods.namespaces() {
            Some(namespaces) => Ok(namespaces),
            None if self.cluster.watched => Err(Error::NotKnown),
            None => Err(Error::NotWatched),
        }
    }

    /// The pods of these namespaces, as far as the watch has seen them.
    pub(crate) async fn list(&self, namespaces: Vec<String>) -> Listing {
        Listing::new(Arc::clone(&self.cluster), namespaces).await
    }

    async fn pod(
        &self,
        target: &Target,
        user: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Destination, Error> {
        let container = target.container();
        if let Some(record) = self.cluster.pods.find(namespace, name) {
            if !record.is_whole() {
                self.cluster.looks_up_pod();
            } else if let Ok(destination) = self.destination(namespace, &record, container)
                && destination.container.running.is_some()
            {
                return Ok(destination);
            }
        }
        let record = self.cluster.read(&self.client, user, namespace, name).await;
        let record = record.map_err(|error| failed(target, error))?;
        self.destination(namespace, &record, container)
    }

    /// Picks one of the selected pods. If none of the known ones will do, the pods are listed once,
    /// because there may be newer ones.
    async fn selected(
        &self,
        target: &Target,
        user: &str,
        namespace: &str,
        selector: Selector,
    ) -> Result<Destination, Error> {
        let loads = &self.cluster.loads;
        let known = self.cluster.pods.select(namespace, &selector);
        let known = known.unwrap_or_default();
        let listed;
        let affinity = self.cluster.affinity.as_ref();
        let preferred = affinity.map(|affinity| affinity.preference(user, target));
        let (record, pod_slot) = match loads.pick(&known, preferred.as_ref()) {
            Ok(picked) => picked,
            Err(_) => {
                if self.cluster.pods.has_parts(namespace) {
                    self.cluster.looks_up_pod();
                }
                let list = self.cluster.list(&self.client, user, namespace, &selector);
                listed = list.await.map_err(|error| failed(target, error))?;
                loads.pick(&listed, preferred.as_ref()).map_err(|reason| {
                    match (target, reason) {
                        // To a user who may enter none of them, this must look the same.
                        (Target::Labels { .. }, NoneReady::NoPods) => {
                            Error::Absent(target.absent())
                        }
                        _ => no_pods(target, &reason),
                    }
                })?
            }
        };
        let destination = Destination::new(namespace, record, target.container(), pod_slot)?;
        if let (Some(affinity), Some(preferred)) = (affinity, preferred) {
            affinity.led_to(preferred, record);
        }
        Ok(Destination {
            selector: Some(selector),
            ..destination
        })
    }

    fn destination(
        &self,
        namespace: &str,
        record: &Record,
        container: Option<&str>,
    ) -> Result<Destination, Error> {
        let pod_slot = self.cluster.loads.slot(&record.uid);
        Destination::new(namespace, record, container, pod_slot)
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

fn failed(target: &Target, error: AskError) -> Error {
    match error {
        AskError::Absent => Error::Absent(target.absent()),
        AskError::TooMany(error) => Error::TooMany(error),
        error => Error::Ask(error),
    }
}

fn no_pods(target: &Target, reason: &impl ToString) -> Error {
    Error::NoPods {
        target: target.to_string(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests;
