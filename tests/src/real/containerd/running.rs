//! A running pod. It is made as the kubelet makes pods, first a sandbox and then the containers, and
//! removed when dropped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tonic::Status;

use super::pod::{ContainerSpec, PodSpec};
use super::service::runtime;
use crate::fixtures::images::Image;
use crate::real::cri::{
    ContainerStatusRequest, CreateContainerRequest, NamespaceOption, PodSandboxConfig,
    PodSandboxStatusRequest, RemoveContainerRequest, RemovePodSandboxRequest, RunPodSandboxRequest,
    StartContainerRequest, StopContainerRequest, StopPodSandboxRequest,
};

/// For a removal on drop; containerd kills at once, so that a longer one hangs.
const REMOVAL: Duration = Duration::from_secs(20);

/// A pod that runs, until it is dropped.
#[derive(Debug)]
pub struct RunningPod {
    /// As the spec said.
    pub namespace: String,
    /// As the spec said.
    pub name: String,
    /// As the spec said, or the random one.
    pub uid: String,
    /// As the spec said.
    pub host_network: bool,
    /// The CRI id of the pod itself, for a port-forward.
    pub sandbox_id: String,
    /// In the spec's order.
    pub containers: Vec<RunningContainer>,
    dir: PathBuf,
    config: PodSandboxConfig,
    namespaces: NamespaceOption,
    removed: bool,
}

/// A container that was started.
#[derive(Debug, Clone)]
pub struct RunningContainer {
    /// As the spec said.
    pub name: String,
    /// 64 hexadecimal digits; another one after each restart.
    pub id: String,
    /// As the spec said.
    pub image: Image,
    /// How often it was started again.
    pub restarts: u32,
    spec: ContainerSpec,
}

impl RunningPod {
    pub(super) async fn start(dir: &Path, spec: PodSpec) -> anyhow::Result<Self> {
        let uid = match &spec.uid {
            Some(uid) => uid.clone(),
            None => std::fs::read_to_string("/proc/sys/kernel/random/uuid")
                .context("a random pod uid")?
                .trim()
                .to_owned(),
        };
        let (config, namespaces) = (spec.sandbox(dir, &uid), spec.namespaces());
        let request = RunPodSandboxRequest {
            config: Some(config.clone()),
            runtime_handler: spec.runtime.clone(),
        };
        let sandbox = runtime(dir)
            .await?
            .run_pod_sandbox(request)
            .await
            .with_context(|| format!("sandbox of pod {}", spec.name))?;
        // From here on a failure ends in Drop.
        let mut pod = Self {
            namespace: spec.namespace,
            name: spec.name,
            uid,
            host_network: spec.host_network,
            sandbox_id: sandbox.into_inner().pod_sandbox_id,
            containers: Vec::new(),
            dir: dir.to_owned(),
            config,
            namespaces,
            removed: false,
        };
        if let Some(joined) = &spec.joined {
            let request = PodSandboxStatusRequest {
                pod_sandbox_id: pod.sandbox_id.clone(),
                verbose: true,
            };
            let status = runtime(dir).await?.pod_sandbox_status(request).await?;
            let pid = pid(status.into_inner().info.get("info"));
            joined.join(pid.with_context(|| format!("sandbox of pod {}", pod.name))?)?;
        }
        for container in spec.containers {
            let started = pod
                .start_container(container, 0)
                .await
                .with_context(|| format!("pod {}", pod.name))?;
            pod.containers.push(started);
        }
        Ok(pod)
    }

    /// The id of a container by its name.
    ///
    /// # Errors
    /// The pod has no container of that name.
    pub fn container_id(&self, name: &str) -> anyhow::Result<&str> {
        self.container(name).map(|container| container.id.as_str())
    }

    /// The pid, on this machine, of a container's first process.
    ///
    /// # Errors
    /// There is no such container, or it does not run.
    pub async fn pid(&self, name: &str) -> anyhow::Result<u32> {
        let request = ContainerStatusRequest {
            container_id: self.container_id(name)?.to_owned(),
            verbose: true,
        };
        let status = runtime(&self.dir)
            .await?
            .container_status(request)
            .await?
            .into_inner();
        pid(status.info.get("info")).with_context(|| format!("container {name} does not run"))
    }

    /// Why a container has ended, in the runtime's word; `None` while it runs.
    ///
    /// # Errors
    /// There is no such container.
    pub async fn end(&self, name: &str) -> anyhow::Result<Option<String>> {
        let request = ContainerStatusRequest {
            container_id: self.container_id(name)?.to_owned(),
            verbose: false,
        };
        let status = runtime(&self.dir).await?.container_status(request).await?;
        let status = status.into_inner().status.unwrap_or_default();
        Ok((status.finished_at > 0).then_some(status.reason))
    }

    /// Kills a container and starts it anew, as the kubelet does after a crash, and answers its
    /// new id.
    ///
    /// # Errors
    /// There is no such container, or the runtime refuses.
    pub async fn restart_container(&mut self, name: &str) -> anyhow::Result<String> {
        let old = self.container(name)?.clone();
        let mut runtime = runtime(&self.dir).await?;
        runtime
            .stop_container(StopContainerRequest {
                container_id: old.id.clone(),
                timeout: 0,
            })
            .await?;
        runtime
            .remove_container(RemoveContainerRequest {
                container_id: old.id,
            })
            .await?;
        let new = self.start_container(old.spec, old.restarts + 1).await?;
        let id = new.id.clone();
        if let Some(place) = self
            .containers
            .iter_mut()
            .find(|container| container.name == name)
        {
            *place = new;
        }
        Ok(id)
    }

    /// Removes the pod, to see what becomes of a session in it, or to get the error if that fails.
    pub async fn remove(mut self) -> anyhow::Result<()> {
        self.removed = true;
        Ok(removal(&self.dir, &self.sandbox_id).await?)
    }

    fn container(&self, name: &str) -> anyhow::Result<&RunningContainer> {
        self.containers
            .iter()
            .find(|container| container.name == name)
            .ok_or_else(|| anyhow!("pod {} has no container {name}", self.name))
    }

    async fn start_container(
        &self,
        spec: ContainerSpec,
        restarts: u32,
    ) -> anyhow::Result<RunningContainer> {
        let mut runtime = runtime(&self.dir).await?;
        let mut config = spec.config(restarts, self.namespaces);
        if !self.config.log_directory.is_empty() {
            config.log_path = format!("{}.log", spec.name);
        }
        let request = CreateContainerRequest {
            pod_sandbox_id: self.sandbox_id.clone(),
            config: Some(config),
            sandbox_config: Some(self.config.clone()),
        };
        let what = || format!("container {}", spec.name);
        let created = runtime.create_container(request).await.with_context(what)?;
        let id = created.into_inner().container_id;
        let request = StartContainerRequest {
            container_id: id.clone(),
        };
        runtime.start_container(request).await.with_context(what)?;
        Ok(RunningContainer {
            name: spec.name.clone(),
            id,
            image: spec.image,
            restarts,
            spec,
        })
    }
}

impl Drop for RunningPod {
    /// Waits for the removal, on a thread with a runtime of its own: the caller may be its runtime's
    /// only worker, and the containerd may outlive this process.
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        let (dir, sandbox_id) = (&self.dir, &self.sandbox_id);
        let removed = std::thread::scope(|scope| {
            let removal = scope.spawn(|| -> anyhow::Result<()> {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(async {
                    tokio::time::timeout(REMOVAL, removal(dir, sandbox_id)).await??;
                    Ok(())
                })
            });
            removal.join()
        });
        if !matches!(removed, Ok(Ok(()))) {
            // If the stand itself has ended first, the pod is gone already.
            tracing::warn!(pod = self.name, ?removed, "not removed");
        }
    }
}

/// The pid in what containerd says of a container or sandbox: a JSON object under the key `info`. It
/// is 0 once it has ended.
fn pid(info: Option<&String>) -> Option<u32> {
    let info: serde_json::Value = serde_json::from_str(info?).ok()?;
    let pid = info.get("pid").and_then(serde_json::Value::as_u64);
    pid.and_then(|pid| u32::try_from(pid).ok())
        .filter(|&pid| pid != 0)
}

async fn removal(dir: &Path, sandbox_id: &str) -> Result<(), Status> {
    let mut runtime = runtime(dir).await?;
    let pod_sandbox_id = sandbox_id.to_owned();
    runtime
        .stop_pod_sandbox(StopPodSandboxRequest {
            pod_sandbox_id: pod_sandbox_id.clone(),
        })
        .await?;
    runtime
        .remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id })
        .await?;
    Ok(())
}
