//! Objects of other kinds than pods: kept as their JSON, got by name, and never listed or watched.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde_json::Value;

use super::Cluster;

/// Kinds that are served, by API group and name in paths.
pub(crate) const SERVED: [(&str, &str); 6] = [
    ("", "services"),
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "jobs"),
];

/// By group, name in paths, namespace and name.
pub(super) type Others = BTreeMap<[String; 4], Value>;

impl Cluster {
    /// Adds an object of another kind than a pod, or puts it in the place of the one there. Its
    /// resource version is the store's to give.
    pub fn put<K: Resource + Metadata<Ty = ObjectMeta> + Serialize>(&self, mut object: K) {
        let version = self.change(super::Store::next_version);
        let metadata = object.metadata_mut();
        metadata.resource_version = Some(version.to_string());
        let [namespace, name] =
            [&metadata.namespace, &metadata.name].map(|text| text.clone().unwrap_or_default());
        let key = [
            K::GROUP.to_owned(),
            K::URL_PATH_SEGMENT.to_owned(),
            namespace,
            name,
        ];
        // An object holds nothing that JSON has no words for.
        let object = serde_json::to_value(object).unwrap_or_default();
        self.others().insert(key, object);
    }

    /// An object of another kind than a pod.
    pub(crate) fn other(&self, key: [&str; 4]) -> Option<Value> {
        self.others().get(&key.map(str::to_owned)).cloned()
    }
}
