//! A containerd of the stand's own, with runc, as a value. It leaves no process, mount, cgroup or
//! folder, whether it is dropped or left behind by a killed process and found by the next one.

mod config;
mod inside;
mod limits;
mod network;
mod pod;
mod processes;
mod running;
mod security;
mod service;
mod start;
mod teardown;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tonic::Status;
use tonic::transport::Channel;

use crate::fixtures::images;
use crate::real::cri;
use crate::real::cri::runtime_service_client::RuntimeServiceClient;
use config::Snapshotter;
use service::{runtime, socket};

pub use config::IDLE;
pub use limits::Frozen;
pub use network::{Bridge, HostNetwork, Joined};
pub use pod::{ContainerSpec, PodSpec};
pub use running::{RunningContainer, RunningPod};
pub use security::{Seccomp, Security};

/// Names the state folder of a running stand, for [`Containerd::shared`].
pub const SHARED: &str = "PODGATE_TEST_CONTAINERD";

/// A containerd that serves CRI v1 on [`Containerd::socket`].
#[derive(Debug)]
pub struct Containerd {
    dir: PathBuf,
    /// None if the containerd is another process's.
    owned: Option<Owned>,
}

/// What belongs to whoever started containerd, in the order in which it ends. The lock is held until
/// everything is torn down, because otherwise another process would take the folder for an orphan.
#[derive(Debug)]
struct Owned {
    child: Child,
    snapshotter: Snapshotter,
    folder: Option<TempDir>,
    _lock: File,
}

/// What a command that has ended left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Bytes, as written.
    pub stdout: Vec<u8>,
    /// Bytes, as written.
    pub stderr: Vec<u8>,
    /// 128 + n for a process that signal n ended.
    pub exit_code: i32,
}

impl Containerd {
    /// Starts a containerd with a state folder of its own and the images of
    /// [`images::Image::ALL`], and ends what killed predecessors left.
    ///
    /// # Errors
    /// The caller is not root, a program is missing, or containerd does not answer; then the text
    /// ends in the last lines of its log.
    pub async fn start() -> anyhow::Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "containerd and runc need root; this process is not root"
        );
        tokio::task::spawn_blocking(teardown::orphans).await?;
        let folder = tempfile::Builder::new()
            .prefix(teardown::PREFIX)
            .tempdir()
            .context("state folder")?;
        let lock = teardown::lock(folder.path()).context("lock of the state folder")?;
        let dir = folder.path().to_path_buf();

        let snapshotter = Snapshotter::probe(&dir).context("trying an overlay")?;
        let child = start::spawn(&dir, snapshotter)?;
        // From here on, a failure or a panic ends in Drop.
        let mut containerd = Self {
            dir: dir.clone(),
            owned: Some(Owned {
                child,
                snapshotter,
                folder: Some(folder),
                _lock: lock,
            }),
        };
        // The images are built while containerd starts. A failure of containerd is reported first.
        let images = tokio::spawn(images::archive());
        if let Some(owned) = &mut containerd.owned {
            start::answering(&dir, &mut owned.child).await?;
        }
        let archive = images.await?.context("building the images")?;
        start::import(&dir, archive, snapshotter).await?;
        Ok(containerd)
    }

    /// [`Containerd::attach`]es to the one that `PODGATE_TEST_CONTAINERD` names, or starts one.
    ///
    /// # Errors
    /// As of these two.
    pub async fn shared() -> anyhow::Result<Self> {
        match std::env::var_os(SHARED) {
            Some(dir) => Self::attach(Path::new(&dir)).await.context(SHARED),
            None => Self::start().await,
        }
    }

    /// Attaches to a containerd another value has started. Dropping this one stops nothing; its
    /// pods are removed as they are dropped.
    ///
    /// # Errors
    /// Nothing answers there.
    pub async fn attach(dir: &Path) -> anyhow::Result<Self> {
        runtime(dir).await?;
        Ok(Self {
            dir: dir.to_owned(),
            owned: None,
        })
    }

    /// Kills containerd, as a crash does, and starts it again. Its shims and containers go on.
    ///
    /// # Errors
    /// It is another process's, or does not answer.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let owned = self.owned.as_mut().context("not this process's")?;
        owned.child.kill()?;
        owned.child.wait()?;
        owned.child = start::spawn(&self.dir, owned.snapshotter)?;
        start::answering(&self.dir, &mut owned.child).await
    }

    /// The state folder, for [`SHARED`].
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The CRI socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        socket(&self.dir)
    }

    /// Runs a pod and waits until all its containers are started.
    ///
    /// # Errors
    /// The runtime's own; what was already made of the pod is removed.
    pub async fn run_pod(&self, spec: PodSpec) -> anyhow::Result<RunningPod> {
        RunningPod::start(&self.dir, spec).await
    }

    /// Prepares an exec and answers the URL of the runtime's streaming server for it, good for one
    /// use within a minute. The command starts once a client has connected.
    ///
    /// # Errors
    /// The runtime's status, e.g. `NotFound` for an unknown container, or `Unavailable` if the
    /// runtime cannot be reached.
    pub async fn exec_url(
        &self,
        container_id: &str,
        argv: &[String],
        stdin: bool,
        stdout: bool,
        stderr: bool,
        tty: bool,
    ) -> Result<String, Status> {
        let request = cri::ExecRequest {
            container_id: container_id.to_owned(),
            cmd: argv.to_vec(),
            tty,
            stdin,
            stdout,
            stderr,
        };
        Ok(self.runtime().await?.exec(request).await?.into_inner().url)
    }

    /// As [`Containerd::exec_url`], for a forward to `ports` of the pod's network.
    ///
    /// # Errors
    /// As [`Containerd::exec_url`].
    pub async fn port_forward_url(
        &self,
        sandbox_id: &str,
        ports: &[u16],
    ) -> Result<String, Status> {
        let request = cri::PortForwardRequest {
            pod_sandbox_id: sandbox_id.to_owned(),
            port: ports.iter().copied().map(i32::from).collect(),
        };
        Ok(self
            .runtime()
            .await?
            .port_forward(request)
            .await?
            .into_inner()
            .url)
    }

    /// The id of the sandbox that a container is in.
    ///
    /// # Errors
    /// The runtime's status.
    pub async fn sandbox_of(&self, container_id: &str) -> Result<String, Status> {
        let request = cri::ContainerStatusRequest {
            container_id: container_id.to_owned(),
            verbose: true,
        };
        let status = self.runtime().await?.container_status(request).await?;
        let info = status.into_inner().info.remove("info").unwrap_or_default();
        let info: serde_json::Value = serde_json::from_str(&info).unwrap_or_default();
        let id = info.get("sandboxID").and_then(serde_json::Value::as_str);
        id.map(str::to_owned)
            .ok_or_else(|| Status::internal("containerd names no sandbox"))
    }

    /// Runs a command in a container to its end, beside whatever a test looks at.
    ///
    /// # Errors
    /// The command could not be started, or did not end within 30 s.
    pub async fn exec<S: AsRef<str>>(
        &self,
        container_id: &str,
        argv: &[S],
    ) -> Result<ExecOutput, Status> {
        let request = cri::ExecSyncRequest {
            container_id: container_id.to_owned(),
            cmd: argv.iter().map(|word| word.as_ref().to_owned()).collect(),
            timeout: 30,
        };
        let done = self.runtime().await?.exec_sync(request).await?.into_inner();
        Ok(ExecOutput {
            stdout: done.stdout,
            stderr: done.stderr,
            exit_code: done.exit_code,
        })
    }

    /// Starts a command in a container, with its input open, as someone else than Podgate would: at the
    /// runtime itself. Its `id` is its own in the container.
    ///
    /// # Errors
    /// When there is no ctr.
    pub fn exec_beside(
        &self,
        container_id: &str,
        id: &str,
        words: &[&str],
    ) -> std::io::Result<tokio::process::Child> {
        tokio::process::Command::new("ctr")
            .args(["-n", "k8s.io", "--address"])
            .arg(self.socket())
            .args(["task", "exec", "--exec-id", id, container_id])
            .args(words)
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    /// The processes of a container that have not ended, as pid on this machine and command line
    /// (words separated by blanks).
    #[must_use]
    pub fn processes_in(&self, container_id: &str) -> Vec<(u32, String)> {
        processes::in_container(container_id)
    }

    /// A client on a connection of its own: a kept one would die with the tokio runtime that made
    /// it, and each test has its own.
    async fn runtime(&self) -> Result<RuntimeServiceClient<Channel>, Status> {
        runtime(&self.dir).await
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let Some(mut owned) = self.owned.take() else {
            return;
        };
        // The process comes first, because it would restore what is taken away. Both calls fail only if
        // it has gone.
        let _ = owned.child.kill();
        let _ = owned.child.wait();
        teardown::everything(&self.dir);
        if let Some(Err(error)) = owned.folder.take().map(TempDir::close) {
            tracing::error!(%error, dir = %self.dir.display(), "state folder left behind");
        }
    }
}
