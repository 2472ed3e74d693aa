//! What a test asks for: a pod and its containers, and their translation into CRI.

use std::path::Path;

use super::teardown;
use crate::cri::{
    ContainerConfig, ContainerMetadata, ImageSpec, Int64Value, KeyValue, LinuxContainerConfig,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext,
    NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata,
};
use crate::images::Image;

/// A pod to be run.
#[derive(Debug, Clone)]
pub struct PodSpec {
    /// Default: `default`.
    pub namespace: String,
    /// A DNS label.
    pub name: String,
    /// Default, None: a random UUID, so that a pod made again under the same name is another one.
    pub uid: Option<String>,
    /// Default: true, the machine's own network. Otherwise one of the pod's own with nothing in it
    /// but loopback.
    pub host_network: bool,
    /// Started in this order.
    pub containers: Vec<ContainerSpec>,
}

/// A container to be run.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// Unique in its pod.
    pub name: String,
    /// What its root is.
    pub image: Image,
    /// None runs the image's own command, which sleeps for ever.
    pub argv: Option<Vec<String>>,
    /// Beside the image's own.
    pub env: Vec<(String, String)>,
    /// A uid; None runs as root.
    pub user: Option<i64>,
    /// None starts where the image says.
    pub working_dir: Option<String>,
}

impl PodSpec {
    /// A pod without containers yet, in the namespace `default`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            uid: None,
            host_network: true,
            containers: Vec::new(),
        }
    }

    /// A pod with one sleeping container, `app`.
    #[must_use]
    pub fn of(name: &str, image: Image) -> Self {
        Self::new(name).container(ContainerSpec::new("app", image))
    }

    /// [`PodSpec::of`] busybox.
    #[must_use]
    pub fn busybox(name: &str) -> Self {
        Self::of(name, Image::Busybox)
    }

    /// [`PodSpec::of`] Debian's userland.
    #[must_use]
    pub fn bash(name: &str) -> Self {
        Self::of(name, Image::Bash)
    }

    /// [`PodSpec::of`] an image without a shell.
    #[must_use]
    pub fn distroless(name: &str) -> Self {
        Self::of(name, Image::Static)
    }

    /// Puts the pod into another namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Fixes the UID.
    #[must_use]
    pub fn uid(mut self, uid: &str) -> Self {
        self.uid = Some(uid.to_owned());
        self
    }

    /// Gives the pod a network namespace of its own.
    #[must_use]
    pub fn own_network(mut self) -> Self {
        self.host_network = false;
        self
    }

    /// Adds a container.
    #[must_use]
    pub fn container(mut self, container: ContainerSpec) -> Self {
        self.containers.push(container);
        self
    }

    /// The sandbox in CRI, for the stand in `dir`.
    pub(super) fn sandbox(&self, dir: &Path, uid: &str) -> PodSandboxConfig {
        // The kubelet's own path for a pod without requests, below a parent of the stand's.
        let cgroup = teardown::cgroup_parent(dir).join(format!("kubepods/besteffort/pod{uid}"));
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: self.name.clone(),
                uid: uid.to_owned(),
                namespace: self.namespace.clone(),
                attempt: 0,
            }),
            // A pod in the machine's network is in its UTS namespace too, and keeps its name.
            hostname: match self.host_network {
                true => String::new(),
                false => self.name.clone(),
            },
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: cgroup.to_string_lossy().into_owned(),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(namespaces(self.host_network)),
                }),
            }),
        }
    }
}

impl ContainerSpec {
    /// A container that sleeps.
    #[must_use]
    pub fn new(name: &str, image: Image) -> Self {
        Self {
            name: name.to_owned(),
            image,
            argv: None,
            env: Vec::new(),
            user: None,
            working_dir: None,
        }
    }

    /// Runs this instead of sleeping.
    #[must_use]
    pub fn argv<S: Into<String>>(mut self, argv: impl IntoIterator<Item = S>) -> Self {
        self.argv = Some(argv.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs as this uid.
    #[must_use]
    pub fn user(mut self, uid: i64) -> Self {
        self.user = Some(uid);
        self
    }

    /// Starts in this folder.
    #[must_use]
    pub fn working_dir(mut self, path: &str) -> Self {
        self.working_dir = Some(path.to_owned());
        self
    }

    /// The container in CRI, on its `attempt`th start.
    pub(super) fn config(&self, attempt: u32, host_network: bool) -> ContainerConfig {
        ContainerConfig {
            metadata: Some(ContainerMetadata {
                name: self.name.clone(),
                attempt,
            }),
            image: Some(ImageSpec {
                image: self.image.reference().to_owned(),
            }),
            command: self.argv.clone().unwrap_or_default(),
            args: Vec::new(),
            working_dir: self.working_dir.clone().unwrap_or_default(),
            envs: self
                .env
                .iter()
                .cloned()
                .map(|(key, value)| KeyValue { key, value })
                .collect(),
            linux: Some(LinuxContainerConfig {
                security_context: Some(LinuxContainerSecurityContext {
                    namespace_options: Some(namespaces(host_network)),
                    run_as_user: self.user.map(|value| Int64Value { value }),
                }),
            }),
        }
    }
}

fn namespaces(host_network: bool) -> NamespaceOption {
    let network = match host_network {
        true => NamespaceMode::Node,
        false => NamespaceMode::Pod,
    };
    NamespaceOption {
        network: network.into(),
        pid: NamespaceMode::Container.into(),
        ipc: NamespaceMode::Pod.into(),
    }
}
