//! Builds pods in the few words that tests need. Everything else is as in a running pod.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, EphemeralContainer, HostIP, Pod, PodCondition, PodIP,
    PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;

/// Why a container has ended that did what it was to do.
const COMPLETED: &str = "Completed";

/// Starts a pod that runs on a node: phase `Running`, ready, no container yet.
pub fn pod(namespace: &str, name: &str, uid: &str, node: &str, host_ip: &str) -> PodBuilder {
    let metadata = ObjectMeta {
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectMeta::default()
    };
    let spec = PodSpec {
        node_name: Some(node.to_owned()),
        restart_policy: Some("Always".to_owned()),
        ..PodSpec::default()
    };
    let status = PodStatus {
        phase: Some("Running".to_owned()),
        conditions: Some(vec![condition("True")]),
        host_ip: Some(host_ip.to_owned()),
        host_ips: Some(vec![HostIP {
            ip: host_ip.to_owned(),
        }]),
        ..PodStatus::default()
    };
    PodBuilder {
        metadata,
        spec,
        status,
    }
}

/// Builds a [`Pod`]; ends with [`build`](Self::build), or goes straight into
/// [`Cluster::add`](super::Cluster::add).
#[derive(Clone, Debug)]
pub struct PodBuilder {
    metadata: ObjectMeta,
    spec: PodSpec,
    status: PodStatus,
}

impl PodBuilder {
    /// A running container; `id` is the runtime's.
    #[must_use]
    pub fn container(mut self, name: &str, id: &str) -> Self {
        self.spec.containers.push(spec(name));
        self.status
            .container_statuses
            .get_or_insert_default()
            .push(running(name, id));
        self
    }

    /// A container that has ended with exit code 0.
    #[must_use]
    pub fn ended_container(self, name: &str, id: &str) -> Self {
        self.container_ended_by(name, id, COMPLETED)
    }

    /// A container that has ended for this reason.
    #[must_use]
    pub fn container_ended_by(mut self, name: &str, id: &str, reason: &str) -> Self {
        self.spec.containers.push(spec(name));
        self.status
            .container_statuses
            .get_or_insert_default()
            .push(ended(name, id, reason));
        self
    }

    /// An init container that has done its work.
    #[must_use]
    pub fn init_container(mut self, name: &str, id: &str) -> Self {
        self.spec
            .init_containers
            .get_or_insert_default()
            .push(spec(name));
        self.status
            .init_container_statuses
            .get_or_insert_default()
            .push(ended(name, id, COMPLETED));
        self
    }

    /// An init container that runs.
    #[must_use]
    pub fn pending_init(mut self, name: &str, id: &str) -> Self {
        let containers = self.spec.init_containers.get_or_insert_default();
        containers.push(spec(name));
        let statuses = self.status.init_container_statuses.get_or_insert_default();
        statuses.push(running(name, id));
        self
    }

    /// A container that waits for the init containers.
    #[must_use]
    pub fn waiting_container(mut self, name: &str) -> Self {
        self.spec.containers.push(spec(name));
        let waiting = ContainerStateWaiting {
            reason: Some("PodInitializing".to_owned()),
            ..ContainerStateWaiting::default()
        };
        let status = ContainerStatus {
            name: name.to_owned(),
            image: "stand".to_owned(),
            state: Some(ContainerState {
                waiting: Some(waiting),
                ..ContainerState::default()
            }),
            ..ContainerStatus::default()
        };
        let statuses = self.status.container_statuses.get_or_insert_default();
        statuses.push(status);
        self
    }

    /// A sidecar: an init container with restart policy `Always`, running.
    #[must_use]
    pub fn sidecar(mut self, name: &str, id: &str) -> Self {
        let sidecar = Container {
            restart_policy: Some("Always".to_owned()),
            ..spec(name)
        };
        self.spec
            .init_containers
            .get_or_insert_default()
            .push(sidecar);
        self.status
            .init_container_statuses
            .get_or_insert_default()
            .push(running(name, id));
        self
    }

    /// A running ephemeral container, as `kubectl debug` adds one.
    #[must_use]
    pub fn ephemeral_container(mut self, name: &str, id: &str) -> Self {
        self.spec
            .ephemeral_containers
            .get_or_insert_default()
            .push(EphemeralContainer {
                name: name.to_owned(),
                image: Some("stand".to_owned()),
                ..EphemeralContainer::default()
            });
        self.status
            .ephemeral_container_statuses
            .get_or_insert_default()
            .push(running(name, id));
        self
    }

    /// An annotation, such as `kubectl.kubernetes.io/default-container`.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        let annotations = self.metadata.annotations.get_or_insert_default();
        annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// A label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.metadata
            .labels
            .get_or_insert_default()
            .insert(key.to_owned(), value.to_owned());
        self
    }

    /// Shares the node's network.
    #[must_use]
    pub fn host_network(mut self) -> Self {
        self.spec.host_network = Some(true);
        self
    }

    /// The kind of runtime that it asks for.
    #[must_use]
    pub fn runtime_class(mut self, name: &str) -> Self {
        self.spec.runtime_class_name = Some(name.to_owned());
        self
    }

    /// When it was made, in seconds since the Unix epoch.
    #[must_use]
    pub fn created(mut self, at: i64) -> Self {
        let at = Timestamp::from_second(at).unwrap_or_default();
        self.metadata.creation_timestamp = Some(Time(at));
        self
    }

    /// Not ready, instead of ready.
    #[must_use]
    pub fn unready(mut self) -> Self {
        self.status.conditions = Some(vec![condition("False")]);
        self
    }

    /// Being deleted, in its grace period.
    #[must_use]
    pub fn deleted(mut self) -> Self {
        self.metadata.deletion_timestamp = Some(Time(Timestamp::now()));
        self
    }

    /// The pod's own address.
    #[must_use]
    pub fn pod_ip(mut self, ip: &str) -> Self {
        self.status.pod_ip = Some(ip.to_owned());
        self.status.pod_ips = Some(vec![PodIP { ip: ip.to_owned() }]);
        self
    }

    /// The phase, instead of `Running`.
    #[must_use]
    pub fn phase(mut self, phase: &str) -> Self {
        self.status.phase = Some(phase.to_owned());
        self
    }

    /// The pod.
    pub fn build(self) -> Pod {
        Pod {
            metadata: self.metadata,
            spec: Some(self.spec),
            status: Some(self.status),
        }
    }
}

impl From<PodBuilder> for Pod {
    fn from(builder: PodBuilder) -> Self {
        builder.build()
    }
}

fn condition(ready: &str) -> PodCondition {
    PodCondition {
        type_: "Ready".to_owned(),
        status: ready.to_owned(),
        ..PodCondition::default()
    }
}

fn spec(name: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: Some("stand".to_owned()),
        ..Container::default()
    }
}

fn running(name: &str, id: &str) -> ContainerStatus {
    ContainerStatus {
        state: Some(ContainerState {
            running: Some(ContainerStateRunning::default()),
            ..ContainerState::default()
        }),
        ready: true,
        started: Some(true),
        ..status(name, id)
    }
}

fn ended(name: &str, id: &str, reason: &str) -> ContainerStatus {
    let terminated = ContainerStateTerminated {
        container_id: Some(format!("containerd://{id}")),
        reason: Some(reason.to_owned()),
        ..ContainerStateTerminated::default()
    };
    ContainerStatus {
        state: Some(ContainerState {
            terminated: Some(terminated),
            ..ContainerState::default()
        }),
        started: Some(false),
        ..status(name, id)
    }
}

fn status(name: &str, id: &str) -> ContainerStatus {
    ContainerStatus {
        name: name.to_owned(),
        container_id: Some(format!("containerd://{id}")),
        image: "stand".to_owned(),
        ..ContainerStatus::default()
    }
}
