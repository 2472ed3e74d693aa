//! What a test asks for: a pod and its containers, and their translation into CRI.

use std::path::{Path, PathBuf};

use super::network::Joined;
use super::security::Security;
use super::teardown;
use crate::fixtures::images::Image;
use crate::real::cri::{
    ContainerConfig, ContainerMetadata, ImageSpec, KeyValue, LinuxContainerConfig,
    LinuxContainerResources, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, Mount,
    NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata,
};

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
    /// Joins the pod's own network to others; default, None: it is alone.
    pub joined: Option<Joined>,
    /// Whether it sees the machine's processes; default: its containers see their own.
    pub host_pid: bool,
    /// The runtime that its class names: `crun`, or nothing for runc. Default: what `PODGATE_OCI` says, or runc.
    pub runtime: String,
    /// A folder for what its containers write, a file `<container>.log` each; None keeps nothing.
    pub logs: Option<PathBuf>,
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
    /// What it may do beside.
    pub security: Security,
    /// What of this machine it sees.
    pub mounts: Vec<Mount>,
    /// Bytes of memory, at most; 0 is no limit.
    pub memory: i64,
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
            joined: None,
            host_pid: false,
            runtime: std::env::var("PODGATE_OCI").unwrap_or_default(),
            logs: None,
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

    /// Has it run under crun, of Debian's package of that name.
    #[must_use]
    pub fn crun(mut self) -> Self {
        "crun".clone_into(&mut self.runtime);
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
            log_directory: self.logs.as_deref().map_or_else(String::new, path),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: cgroup.to_string_lossy().into_owned(),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(self.namespaces()),
                    privileged: self.containers.iter().any(|it| it.security.privileged),
                    seccomp: None,
                }),
            }),
        }
    }

    pub(super) fn namespaces(&self) -> NamespaceOption {
        let mode = |of_node, own| if of_node { NamespaceMode::Node } else { own };
        NamespaceOption {
            network: mode(self.host_network, NamespaceMode::Pod).into(),
            pid: mode(self.host_pid, NamespaceMode::Container).into(),
            ipc: NamespaceMode::Pod.into(),
        }
    }
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
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
            security: Security::default(),
            mounts: Vec::new(),
            memory: 0,
        }
    }

    /// Limits its memory.
    #[must_use]
    pub fn memory(mut self, bytes: i64) -> Self {
        self.memory = bytes;
        self
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
    pub(super) fn config(&self, attempt: u32, namespaces: NamespaceOption) -> ContainerConfig {
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
            mounts: self.mounts.clone(),
            log_path: String::new(),
            linux: Some(LinuxContainerConfig {
                resources: Some(LinuxContainerResources {
                    memory_limit_in_bytes: self.memory,
                }),
                security_context: Some(self.security.context(self.user, namespaces)),
            }),
        }
    }
}
