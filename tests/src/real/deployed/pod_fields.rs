//! Where a pod runs.

use anyhow::{Result, bail};

use crate::real::containerd::Joined;

/// Where a pod runs, and what it can be told of that (downward API).
#[derive(Clone, Debug)]
pub(super) struct PodFields {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// Its UID.
    pub(super) uid: String,
    /// Its node's name.
    pub(super) node: String,
    /// Its node's address.
    pub(super) node_address: String,
    /// Its own address.
    pub(super) joined: Joined,
}

impl PodFields {
    /// The value of a field, by its path.
    pub(super) fn field(&self, path: &str) -> Result<&str> {
        Ok(match path {
            "metadata.name" => &self.name,
            "metadata.namespace" => &self.namespace,
            "metadata.uid" => &self.uid,
            "spec.nodeName" => &self.node,
            "status.hostIP" => &self.node_address,
            "status.podIP" => &self.joined.address,
            other => bail!("the field {other} is not known here"),
        })
    }
}
