//! The kinds of objects whose pods can be entered, by the names that kubectl has for them. A pod itself
//! is not one of them.

use super::names::{is_label, is_subdomain};

/// A kind of object that has pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "they are Kubernetes' own")]
pub(crate) enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    Job,
    Service,
}

impl Kind {
    /// The kind that a word names; `Some(None)` is a pod.
    pub(super) fn parse(word: &str) -> Option<Option<Self>> {
        Some(match word {
            "po" | "pod" | "pods" => None,
            "deploy" | "deployment" | "deployments" => Some(Self::Deployment),
            "sts" | "statefulset" | "statefulsets" => Some(Self::StatefulSet),
            "ds" | "daemonset" | "daemonsets" => Some(Self::DaemonSet),
            "rs" | "replicaset" | "replicasets" => Some(Self::ReplicaSet),
            "job" | "jobs" => Some(Self::Job),
            "svc" | "service" | "services" => Some(Self::Service),
            _ => return None,
        })
    }

    /// Its shortest name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deploy",
            Self::StatefulSet => "sts",
            Self::DaemonSet => "ds",
            Self::ReplicaSet => "rs",
            Self::Job => "job",
            Self::Service => "svc",
        }
    }

    /// What an error calls the name of such an object.
    pub(super) fn part(self) -> &'static str {
        match self {
            Self::Deployment => "the deployment's name",
            Self::StatefulSet => "the statefulset's name",
            Self::DaemonSet => "the daemonset's name",
            Self::ReplicaSet => "the replicaset's name",
            Self::Job => "the job's name",
            Self::Service => "the service's name",
        }
    }

    /// Whether such an object can have this name. A service's name is a DNS label. Some releases
    /// require a letter at its beginning (RFC 1035) and some do not (KEP-5311), so that is left to the
    /// API server.
    pub(super) fn can_be_named(self, name: &str) -> bool {
        match self {
            Self::Service => is_label(name),
            _ => is_subdomain(name),
        }
    }
}
