//! The agents' own pods, followed by one watch: the address of the agent on each node.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{PoisonError, RwLock};

use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use podgate_identity::kubernetes::backoff;

/// By node, then by pod: a node may have two while its agent is replaced.
type Table = HashMap<String, HashMap<String, Agent>>;

/// The agents' pods.
#[derive(Debug)]
pub(crate) struct AgentPods {
    namespace: String,
    selector: String,
    /// Empty until the first list is whole.
    table: RwLock<Table>,
}

/// An agent's pod that has an address.
#[derive(Debug)]
struct Agent {
    ip: IpAddr,
    ready: bool,
    created: Option<Time>,
    /// It is being deleted, and takes no new sessions.
    deleted: bool,
}

impl AgentPods {
    /// The pods of a namespace that a label selector matches, in the API's syntax.
    pub(crate) fn new(namespace: String, selector: String) -> Self {
        Self {
            namespace,
            selector,
            table: RwLock::default(),
        }
    }

    /// The address of a node's agent. A ready one is preferred, and of two the newer: the older one is about to
    /// go.
    pub(super) fn on(&self, node: &str) -> Option<IpAddr> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let agents = table.get(node)?.values().filter(|agent| !agent.deleted);
        let best = agents.max_by_key(|agent| (agent.ready, agent.created.as_ref()));
        best.map(|agent| agent.ip)
    }

    /// Follows the pods, forever. Errors are retried as for the cluster's pods.
    pub(super) async fn follow(&self, client: kube::Client) {
        let pods: Api<core::Pod> = Api::namespaced(client, &self.namespace);
        let config = watcher::Config::default().labels(&self.selector);
        let mut events = pin!(watch(pods, config).backoff(backoff()));
        let mut coming = Table::new();
        loop {
            match events.try_next().await {
                Ok(Some(Event::Init)) => coming = Table::new(),
                Ok(Some(Event::InitApply(pod))) => put(&mut coming, pod),
                Ok(Some(Event::InitDone)) => {
                    tracing::info!(nodes = coming.len(), "the agents' pods are known");
                    *self.write() = std::mem::take(&mut coming);
                }
                Ok(Some(Event::Apply(pod))) => put(&mut self.write(), pod),
                Ok(Some(Event::Delete(pod))) => take(&mut self.write(), &pod),
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "watching the agents' pods"),
            }
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put(table: &mut Table, pod: core::Pod) {
    take(table, &pod);
    if let Some((node, name, agent)) = reduce(pod) {
        table.entry(node).or_default().insert(name, agent);
    }
}

/// A pod stays on its node, and has none before it is scheduled.
fn take(table: &mut Table, pod: &core::Pod) {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
    if let (Some(node), Some(name)) = (node, &pod.metadata.name)
        && let Some(agents) = table.get_mut(node)
    {
        agents.remove(name);
        if agents.is_empty() {
            table.remove(node);
        }
    }
}

fn reduce(pod: core::Pod) -> Option<(String, String, Agent)> {
    let status = pod.status?;
    let ready =
        |condition: core::PodCondition| condition.type_ == "Ready" && condition.status == "True";
    let agent = Agent {
        ip: status.pod_ip?.parse().ok()?,
        ready: status.conditions.into_iter().flatten().any(ready),
        created: pod.metadata.creation_timestamp,
        deleted: pod.metadata.deletion_timestamp.is_some(),
    };
    Some((pod.spec?.node_name?, pod.metadata.name?, agent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize as _;
    use serde_json::{Value, json};

    /// `status` of the pod's condition `Ready`.
    fn pod(name: &str, ip: &str, ready: &str, deleted: bool) -> core::Pod {
        let deleted = deleted.then_some("2026-01-01T00:00:00Z");
        let pod: Value = json!({
            "metadata": {"name": name, "deletionTimestamp": deleted},
            "spec": {"nodeName": "node-a", "containers": []},
            "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": ready}]},
        });
        core::Pod::deserialize(pod).unwrap()
    }

    fn created(mut pod: core::Pod, time: &str) -> core::Pod {
        pod.metadata.creation_timestamp = serde_json::from_value(time.into()).unwrap();
        pod
    }

    #[test]
    fn a_nodes_agent_is_one_that_takes_sessions() {
        let check = |pods: &[core::Pod], expect: Option<&str>| {
            let agents = AgentPods::new(String::new(), String::new());
            for pod in pods {
                put(&mut agents.write(), pod.clone());
            }
            let on = agents.on("node-a").map(|ip| ip.to_string());
            assert_eq!(on.as_deref(), expect, "{pods:?}");
            assert_eq!(agents.on("node-b"), None);
            for pod in pods {
                take(&mut agents.write(), pod);
            }
            assert!(agents.write().is_empty());
        };
        check(&[], None);
        check(&[pod("a", "10.0.0.1", "True", false)], Some("10.0.0.1"));
        check(&[pod("a", "10.0.0.1", "False", false)], Some("10.0.0.1"));
        let (goes, comes) = (
            pod("a", "10.0.0.1", "True", true),
            pod("b", "10.0.0.2", "False", false),
        );
        check(&[goes.clone(), comes], Some("10.0.0.2"));
        check(&[goes], None);
        let both = [
            pod("a", "10.0.0.1", "False", false),
            pod("b", "fd00::2", "True", false),
        ];
        check(&both, Some("fd00::2"));
        // An upgrade has both ready for a moment.
        for (old, new) in [("a", "b"), ("b", "a")] {
            let both = [
                created(pod(old, "10.0.0.1", "True", false), "2026-01-01T00:00:00Z"),
                created(pod(new, "10.0.0.2", "True", false), "2026-01-02T00:00:00Z"),
            ];
            check(&both, Some("10.0.0.2"));
            let [old, new] = both;
            check(&[new, old], Some("10.0.0.2"));
        }
        let new = pod("b", "10.0.0.2", "False", false);
        let old = created(pod("a", "10.0.0.1", "True", false), "2026-01-01T00:00:00Z");
        check(
            &[created(new, "2026-01-02T00:00:00Z"), old],
            Some("10.0.0.1"),
        );
    }
}
