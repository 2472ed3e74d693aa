//! One state of a pod: the line of the watch that told of it, written once for all clients, and the
//! fields that selectors look at. An object and an item of a list are parts of that line.

use std::sync::Arc;

use bytes::Bytes;
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

/// The beginning of an object, which an item of a list does not repeat.
const HEAD: &[u8] = br#"{"kind":"Pod","apiVersion":"v1","#;
const END: &[u8] = b"}\n";

/// A change, as the line of a watch names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One state of a pod; it never changes.
pub(crate) struct Object {
    /// Namespace and name with a slash between, and so in etcd's order.
    pub(crate) key: Arc<str>,
    pub(crate) resource_version: u64,
    pub(crate) uid: Option<Box<str>>,
    pub(crate) node: Option<Arc<str>>,
    pub(crate) phase: Option<Box<str>>,
    /// Few labels; the first node of a map alone would be larger.
    labels: Box<[(Box<str>, Box<str>)]>,
    change: Change,
    line: Bytes,
}

/// In the order of kube-apiserver's JSON, which an object of k8s-openapi has not.
#[derive(Serialize)]
struct Written<'a> {
    metadata: &'a ObjectMeta,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<&'a PodSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a PodStatus>,
}

/// The key of a pod.
pub(crate) fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl Change {
    fn start(self) -> &'static [u8] {
        match self {
            Self::Added => br#"{"type":"ADDED","object":"#,
            Self::Modified => br#"{"type":"MODIFIED","object":"#,
            Self::Deleted => br#"{"type":"DELETED","object":"#,
        }
    }
}

impl Object {
    /// Writes the pod down; `node` is the name of its node, shared with others there.
    pub(crate) fn new(
        mut pod: Pod,
        key: Arc<str>,
        node: Option<Arc<str>>,
        resource_version: u64,
        change: Change,
    ) -> Self {
        pod.metadata.resource_version = Some(resource_version.to_string());
        let written = Written {
            metadata: &pod.metadata,
            spec: pod.spec.as_ref(),
            status: pod.status.as_ref(),
        };
        // A pod holds nothing that JSON has no words for.
        let written = serde_json::to_vec(&written).unwrap_or_default();
        let start = change.start();
        let length = start.len() + HEAD.len() + written.len() - 1 + END.len();
        let mut line = Vec::with_capacity(length);
        line.extend_from_slice(start);
        line.extend_from_slice(HEAD);
        line.extend_from_slice(written.get(1..).unwrap_or_default());
        line.extend_from_slice(END);
        let labels = pod.metadata.labels.into_iter().flatten();
        Self {
            key,
            resource_version,
            uid: pod.metadata.uid.map(String::into_boxed_str),
            node,
            phase: pod.status.and_then(|s| s.phase).map(String::into_boxed_str),
            labels: labels
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            change,
            line: line.into(),
        }
    }

    /// The same at a later resource version, as the last that a watch says of a pod.
    pub(crate) fn deleted(&self, resource_version: u64) -> Self {
        let pod = self.pod().unwrap_or_default();
        let (key, node) = (self.key.clone(), self.node.clone());
        Self::new(pod, key, node, resource_version, Change::Deleted)
    }

    /// The line of a watch that says this, its end of line included.
    pub(crate) fn line(&self, change: Change) -> Bytes {
        if change == self.change {
            return self.line.clone();
        }
        [change.start(), &self.json(), END].concat().into()
    }

    /// The object alone.
    pub(crate) fn json(&self) -> Bytes {
        let end = self.line.len() - END.len();
        self.line.slice(self.change.start().len()..end)
    }

    /// Writes it to the end of a list, whose items do not say `kind` and `apiVersion` again.
    pub(crate) fn write_item(&self, list: &mut Vec<u8>) {
        list.push(b'{');
        list.extend_from_slice(self.json().get(HEAD.len()..).unwrap_or_default());
    }

    /// The pod, read again.
    pub(crate) fn pod(&self) -> Option<Pod> {
        serde_json::from_slice(&self.json()).ok()
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        let mut labels = self.labels.iter();
        let found = labels.find(|(label, _)| **label == *key)?;
        Some(&found.1)
    }

    pub(crate) fn namespace(&self) -> &str {
        self.key
            .split_once('/')
            .map_or("", |(namespace, _)| namespace)
    }

    pub(crate) fn name(&self) -> &str {
        self.key.split_once('/').map_or("", |(_, name)| name)
    }
}
