//! A pod of the cluster and its containers, as a session knows them. Pure: `route` finds them, `authz`
//! judges them.

use std::collections::BTreeMap;

/// What a session needs to know of a pod in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pod {
    pub namespace: String,
    pub name: String,
    /// Its UID, as its kubelet knows it.
    pub uid: String,
    /// The node it runs on.
    pub node: String,
    /// That node's InternalIP.
    pub node_address: std::net::IpAddr,
    /// Whether it shares the node's network.
    pub host_network: bool,
    pub labels: BTreeMap<String, String>,
    /// The name of its RuntimeClass.
    pub runtime_class: Option<String>,
    /// Its containers of every kind, the ordinary ones first, in the spec's order.
    pub containers: Vec<Container>,
    /// The container that its annotation `kubectl.kubernetes.io/default-container` names.
    pub default_container: Option<String>,
    /// The init container that runs now. The ordinary containers wait for it.
    pub initializing: Option<String>,
}

#[cfg(test)]
impl Pod {
    /// `web-0` of `prod` on `node-a`, with these containers.
    pub(crate) fn web_0(containers: Vec<Container>) -> Self {
        Self {
            namespace: "prod".into(),
            name: "web-0".into(),
            uid: "u1".into(),
            node: "node-a".into(),
            node_address: [10, 0, 0, 1].into(),
            host_network: false,
            labels: Default::default(),
            runtime_class: None,
            containers,
            default_container: None,
            initializing: None,
        }
    }
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    pub name: String,
    /// Its id as `<runtime>://<id>`, if it runs.
    pub running: Option<String>,
}
