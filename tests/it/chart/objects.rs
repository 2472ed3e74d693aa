//! Whether objects fit their Kubernetes types: no unknown field, and no reference to something that is
//! missing.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, Pod, PodSpec, ResourceQuota, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rendered::Object;

type Checked = Result<(), String>;

/// What the chart uses of the Prometheus operator's type.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PodMonitor {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    spec: PodMonitorSpec,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PodMonitorSpec {
    selector: LabelSelector,
    pod_metrics_endpoints: Vec<PodMetricsEndpoint>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PodMetricsEndpoint {
    port: String,
    path: String,
    interval: String,
}

/// The types ignore fields that they do not know. So an object must be the same after it was read and
/// written.
pub(super) fn strict(object: &Object) -> Checked {
    let value = &object.object;
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    let checked = match (text("apiVersion"), text("kind")) {
        ("apps/v1", "DaemonSet") => same::<DaemonSet>(value),
        ("apps/v1", "Deployment") => same::<Deployment>(value),
        ("v1", "ConfigMap") => same::<ConfigMap>(value),
        ("v1", "Pod") => same::<Pod>(value),
        ("v1", "ResourceQuota") => same::<ResourceQuota>(value),
        ("v1", "Secret") => same::<Secret>(value),
        ("v1", "Service") => same::<Service>(value),
        ("v1", "ServiceAccount") => same::<ServiceAccount>(value),
        ("networking.k8s.io/v1", "NetworkPolicy") => same::<NetworkPolicy>(value),
        ("policy/v1", "PodDisruptionBudget") => same::<PodDisruptionBudget>(value),
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => same::<ClusterRole>(value),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => same::<ClusterRoleBinding>(value),
        ("rbac.authorization.k8s.io/v1", "Role") => same::<Role>(value),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => same::<RoleBinding>(value),
        ("monitoring.coreos.com/v1", "PodMonitor") => same::<PodMonitor>(value),
        other => Err(format!("{other:?} is none of the chart's")),
    };
    checked.map_err(|why| format!("{}: {why}", object.file))
}

fn same<T: DeserializeOwned + Serialize>(value: &Value) -> Checked {
    let typed: T = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let written = serde_json::to_value(typed).map_err(|error| error.to_string())?;
    match written == *value {
        true => Ok(()),
        false => Err(format!("rendered {value}, of which remains {written}")),
    }
}

/// The pods that an object makes.
pub(super) fn pod(object: &Object) -> Option<PodSpec> {
    let value = &object.object;
    let spec = match value["kind"].as_str()? {
        "DaemonSet" | "Deployment" => value.pointer("/spec/template/spec")?,
        "Pod" => value.get("spec")?,
        _ => return None,
    };
    Some(serde_json::from_value(spec.clone()).unwrap())
}

/// Each reference to an object, a volume or a port by name finds it.
pub(super) fn consistent(objects: &[Object]) -> Checked {
    let mut there = BTreeSet::new();
    for object in objects {
        let name = object
            .object
            .pointer("/metadata/name")
            .and_then(Value::as_str);
        let kind = object.object["kind"].as_str();
        let named = format!("{}/{}", kind.unwrap_or("?"), name.unwrap_or("?"));
        if !there.insert(named.clone()) {
            return Err(format!("{named} is there twice"));
        }
    }
    let needs = |named: String| match there.contains(&named) {
        true => Ok(()),
        false => Err(format!("{named} is not there")),
    };
    let mut ports: BTreeSet<String> = BTreeSet::new();
    for object in objects {
        let value = &object.object;
        if let Some(role) = value.get("roleRef") {
            let text = |key: &str| role[key].as_str().unwrap_or_default();
            needs(format!("{}/{}", text("kind"), text("name")))?;
        }
        let Some(pod) = pod(object) else { continue };
        if let Some(account) = &pod.service_account_name {
            needs(format!("ServiceAccount/{account}"))?;
        }
        for container in &pod.containers {
            let named = container.ports.iter().flatten();
            ports.extend(named.filter_map(|port| port.name.clone()));
            mounts(container, &pod)?;
        }
        // The chart's own are named after the release; others are the values'.
        for volume in pod.volumes.iter().flatten() {
            if let Some(source) = &volume.config_map
                && source.name.starts_with("podgate-")
            {
                needs(format!("ConfigMap/{}", source.name))?;
            }
        }
    }
    for object in objects {
        let value = &object.object;
        let rules = ["ingress", "egress"].map(|way| value["spec"][way].as_array());
        let policy = rules.into_iter().flatten().flatten();
        let policy = policy.flat_map(|rule| rule["ports"].as_array());
        let service = value["spec"]["ports"].as_array();
        for port in policy.chain(service).flatten() {
            for key in ["port", "targetPort"] {
                if let Some(name) = port[key].as_str()
                    && !ports.contains(name)
                {
                    return Err(format!("{}: no container has a port {name}", object.file));
                }
            }
        }
    }
    Ok(())
}

fn mounts(container: &Container, pod: &PodSpec) -> Checked {
    let mut places = BTreeSet::new();
    for mount in container.volume_mounts.iter().flatten() {
        let mut volumes = pod.volumes.iter().flatten();
        if !volumes.any(|volume| volume.name == mount.name) {
            return Err(format!("{}: no volume {}", container.name, mount.name));
        }
        if !places.insert(&mount.mount_path) {
            return Err(format!("{}: two at {}", container.name, mount.mount_path));
        }
    }
    Ok(())
}
