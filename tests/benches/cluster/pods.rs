//! The pods of the made-up cluster: deployments of 15, two containers each, and about as many bytes as
//! real pods have.

use k8s_openapi::api::core::v1::{EnvVar, Pod, ResourceRequirements, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use podgate_tests::stand_ins::cluster::{Cluster, pod};

pub(crate) const PODS: usize = 150_000;
pub(crate) const NODES: usize = 5_000;
pub(crate) const NAMESPACES: usize = 200;
/// Pods of a deployment.
const REPLICAS: usize = 15;
/// Variables of a container's environment.
const VARIABLES: usize = 20;

/// Fills the cluster.
pub(crate) fn fill(cluster: &Cluster) {
    for at in 0..PODS {
        cluster.add(one(at, 0));
    }
}

/// The namespace and name of a pod.
pub(crate) fn name(at: usize) -> (String, String) {
    let deployment = at / REPLICAS;
    let namespace = format!("team-{:03}", deployment % NAMESPACES);
    let name = format!(
        "service-{deployment:05}-7d4b9c6f5d-{:05x}",
        at * 7919 % 0xf_ffff
    );
    (namespace, name)
}

/// The label that a pod has in common with those of its deployment.
pub(crate) fn app(at: usize) -> String {
    format!("service-{:05}", at / REPLICAS)
}

/// A pod. At each turn it has other containers, and at every other turn another UID.
pub(crate) fn one(at: usize, turn: usize) -> Pod {
    let (namespace, name) = name(at);
    let node = at % NODES;
    let uid = format!("{at:08x}-{:04x}-4000-8000-{at:012x}", turn / 2);
    let id = |container: usize| format!("{at:032x}{turn:031x}{container:x}");
    let pod = pod(
        &namespace,
        &name,
        &uid,
        &format!("node-{node:04}"),
        // Something answers there at once that is not the node's agent.
        "127.0.0.1",
    )
    .label("app", &app(at))
    .label("pod-template-hash", "7d4b9c6f5d")
    .label("app.kubernetes.io/version", "1.27.3")
    .label("team", &namespace)
    .annotation("prometheus.io/scrape", "true")
    .annotation("checksum/config", &"0123456789abcdef".repeat(4))
    .pod_ip(&format!(
        "10.{}.{}.{}",
        100 + node / 250,
        node % 250,
        2 + at / NODES
    ))
    .container("main", &id(1))
    .container("proxy", &id(2));
    let mut pod: Pod = pod.into();
    pod.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "ReplicaSet".to_owned(),
        name: format!("{}-7d4b9c6f5d", app(at)),
        uid: "5b0a3c5e-1111-4222-8333-0123456789ab".to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    }]);
    let spec = pod.spec.get_or_insert_default();
    spec.service_account_name = Some("default".to_owned());
    spec.volumes = Some(vec![Volume {
        name: "kube-api-access".to_owned(),
        ..Volume::default()
    }]);
    for container in &mut spec.containers {
        container.image = Some(format!("images.example.com/{namespace}/main:1.27.3"));
        container.env = Some((0..VARIABLES).map(variable).collect());
        let quantity = |text: &str| Quantity(text.to_owned());
        let asked = [("cpu", "100m"), ("memory", "256Mi")];
        let asked = asked.map(|(what, much)| (what.to_owned(), quantity(much)));
        container.resources = Some(ResourceRequirements {
            limits: Some(asked.clone().into()),
            requests: Some(asked.into()),
            ..ResourceRequirements::default()
        });
        container.volume_mounts = Some(vec![VolumeMount {
            name: "kube-api-access".to_owned(),
            mount_path: "/var/run/secrets/kubernetes.io/serviceaccount".to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        }]);
    }
    pod
}

fn variable(at: usize) -> EnvVar {
    EnvVar {
        name: format!("SERVICE_SETTING_{at:02}"),
        value: Some(format!("http://setting-{at:02}.svc.cluster.local:8080")),
        ..EnvVar::default()
    }
}
