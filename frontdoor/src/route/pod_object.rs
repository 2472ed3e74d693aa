//! A pod as the API server sends it, reduced to the fields that routing reads. Other fields are skipped
//! while it is parsed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A pod of the API server, as kube's client lists and watches it.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "PodFields")]
pub(super) struct PodObject {
    /// Its name, namespace and resource version, which kube's client reads.
    meta: ObjectMeta,
    pub(super) pod: PodFields,
}

impl PodObject {
    /// Its resource version.
    pub(super) fn version(&self) -> Option<&str> {
        self.meta.resource_version.as_deref()
    }
}

impl From<PodFields> for PodObject {
    fn from(mut pod: PodFields) -> Self {
        let meta = ObjectMeta {
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            resource_version: pod.metadata.resource_version.take(),
            ..ObjectMeta::default()
        };
        Self { meta, pod }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PodFields {
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
    pub(super) status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) uid: Option<String>,
    resource_version: Option<String>,
    pub(super) deletion_timestamp: Option<IgnoredAny>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) annotations: Option<Annotations>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Annotations {
    /// The container that `kubectl exec` chooses by default, too (KEP-2227).
    #[serde(rename = "kubectl.kubernetes.io/default-container")]
    pub(super) default_container: Option<String>,
    /// On the API server's copy of a static pod: the UID that its kubelet knows it by.
    #[serde(rename = "kubernetes.io/config.mirror")]
    pub(super) mirror: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Spec {
    pub(super) node_name: Option<String>,
    pub(super) host_network: Option<bool>,
    pub(super) runtime_class_name: Option<String>,
    pub(super) containers: Option<Vec<ContainerFields>>,
    pub(super) init_containers: Option<Vec<ContainerFields>>,
    pub(super) ephemeral_containers: Option<Vec<ContainerFields>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerFields {
    pub(super) name: String,
    pub(super) restart_policy: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) phase: Option<String>,
    #[serde(rename = "hostIP")]
    pub(super) host_ip: Option<String>,
    pub(super) conditions: Option<Vec<Condition>>,
    pub(super) container_statuses: Option<Vec<ContainerStatus>>,
    pub(super) init_container_statuses: Option<Vec<ContainerStatus>>,
    pub(super) ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    #[serde(rename = "containerID")]
    pub(super) container_id: Option<String>,
    pub(super) ready: bool,
    pub(super) state: Option<State>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) running: Option<IgnoredAny>,
}

/// kube's client treats it as any other pod.
impl Resource for PodObject {
    type DynamicType = ();
    type Scope = <core::Pod as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        core::Pod::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        core::Pod::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        core::Pod::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        core::Pod::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}
