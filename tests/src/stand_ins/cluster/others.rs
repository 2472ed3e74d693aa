//! Objects of other kinds than pods: kept as their JSON, got by name, and never listed or watched.

use std::collections::BTreeMap;

use serde_json::Value;

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
