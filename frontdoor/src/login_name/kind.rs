//! The kinds of objects whose pods can be entered, beside a pod itself, by the names that kubectl has
//! for them.

use super::names::{is_label, is_subdomain};

/// What has pods.
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
    /// The kind that a word means; `Some(None)` is a pod.
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

    /// The part of a login name that names one.
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

    /// Whether one can have this name. Services are DNS labels, which some releases want to begin with
    /// a letter (RFC 1035) and some do not (KEP-5311): the API server knows which.
    pub(super) fn can_be_named(self, name: &str) -> bool {
        match self {
            Self::Service => is_label(name),
            _ => is_subdomain(name),
        }
    }
}
