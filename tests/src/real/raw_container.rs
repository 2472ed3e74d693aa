//! A container that runc alone runs, for what this machine's containerd cannot be asked for. Its bundle is a
//! changed copy of another container's, and lies where containerd's are, so that the node entry finds it. Its files are
//! a copy, too, or this machine's own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::containerd::{Containerd, RunningPod};
use crate::instruments::eventually::eventually;
use crate::stand_ins::embedded::PATH;

const SOON: Duration = Duration::from_secs(30);
/// Becomes runc where folder `$0` is this machine's root. Nobody else sees it there, so nothing can remove what is in it.
const IN_MACHINE: &str = "mount --rbind / \"$0\" && exec \"$@\"";

/// A container of runc's own; gone when dropped.
pub struct RawContainer {
    /// As containerd's are: 64 hexadecimal digits.
    pub id: String,
    /// runc's state of all containers.
    root: PathBuf,
    bundle: PathBuf,
    /// runc, which is to the container what a shim is.
    _runc: Child,
    tree: TempDir,
}

impl Containerd {
    /// Runs a copy of a pod's container `app`, with `change` made to its description (config.json).
    ///
    /// # Errors
    /// When runc does not run it.
    pub async fn run_raw(
        &self,
        pod: &RunningPod,
        change: impl FnOnce(&mut Value),
    ) -> Result<RawContainer> {
        self.run(pod, Files::Copied, change).await
    }

    /// Runs a container that is this machine: its files, its network and its user, in place of a pod's container `app`.
    ///
    /// # Errors
    /// When runc does not run it.
    pub async fn run_machine(&self, pod: &RunningPod) -> Result<RawContainer> {
        self.run(pod, Files::Machine, as_machine).await
    }

    async fn run(
        &self,
        pod: &RunningPod,
        files: Files,
        change: impl FnOnce(&mut Value),
    ) -> Result<RawContainer> {
        let id = pod.container_id("app")?;
        let own: String = id.chars().rev().collect();
        let bundles = self
            .dir()
            .join("state/io.containerd.runtime.v2.task/k8s.io");
        let (theirs, bundle) = (bundles.join(id), bundles.join(&own));
        // Root of another user namespace must reach it, so it is not below the stand's own folder.
        let tree = tempfile::tempdir()?;
        std::fs::set_permissions(tree.path(), PermissionsExt::from_mode(0o755))?;
        let config = std::fs::read(theirs.join("config.json"))?;
        let mut config: Value = serde_json::from_slice(&config)?;
        detach(&mut config, (id, &own), tree.path())?;
        change(&mut config);
        let rootfs = tree.path().join("rootfs");
        match files {
            Files::Copied => copy(&theirs.join("rootfs"), tree.path(), owner(&config)).await?,
            Files::Machine => std::fs::create_dir(&rootfs)?,
        }
        std::fs::create_dir(&bundle)?;
        for file in ["options.json", "shim-binary-path"] {
            if theirs.join(file).exists() {
                std::fs::copy(theirs.join(file), bundle.join(file))?;
            }
        }
        std::fs::write(bundle.join("config.json"), config.to_string())?;
        let root = self.dir().join("runc/k8s.io");
        let mut runc = match files {
            Files::Copied => Command::new("runc"),
            Files::Machine => {
                let mut own = Command::new("unshare");
                own.args(["--mount", "sh", "-c", IN_MACHINE]);
                own.arg(&rootfs).arg("runc");
                own
            }
        };
        runc.arg("--root").arg(&root).args(["run", "--bundle"]);
        let log = std::fs::File::create(tree.path().join("log"))?;
        runc.arg(&bundle).arg(&own).stdin(Stdio::null());
        let runc = runc.stdout(log.try_clone()?).stderr(log).spawn();
        let raw = RawContainer {
            id: own,
            root,
            bundle,
            _runc: runc.context("runc")?,
            tree,
        };
        let look = || async { raw.state().ok().filter(runs) };
        let ran = eventually("a container of runc's own", SOON, look).await;
        ran.with_context(|| raw.log())?;
        Ok(raw)
    }
}

/// Whose files a container has.
#[derive(Clone, Copy, Debug)]
enum Files {
    /// A copy of another container's.
    Copied,
    /// This machine's.
    Machine,
}

/// Changes a description to one of this machine. Its processes alone are the container's own: the node entry enters none
/// that sees the machine's. /dev is mounted, or runc would change what is in it.
fn as_machine(config: &mut Value) {
    let mounts = json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]},
    ]);
    for (path, value) in [
        ("/mounts", mounts),
        ("/root/readonly", json!(false)),
        ("/process/cwd", json!("/")),
        (
            "/process/env",
            json!([format!("PATH={PATH}"), "HOME=/root"]),
        ),
        ("/process/args", json!(["sleep", "infinity"])),
    ] {
        if let Some(place) = config.pointer_mut(path) {
            *place = value;
        }
    }
    if let Some(linux) = config.get_mut("linux").and_then(Value::as_object_mut) {
        linux.remove("seccomp");
        if let Some(namespaces) = linux.get_mut("namespaces").and_then(Value::as_array_mut) {
            namespaces.retain(|it| {
                let kind = it.get("type").and_then(Value::as_str);
                matches!(kind, Some("pid" | "mount"))
            });
        }
    }
}

/// Makes a description one of a container of its own, beside that whose it was.
fn detach(config: &mut Value, (id, own): (&str, &str), tree: &Path) -> Result<()> {
    let at = |path: &'static str| move || format!("no {path} in config.json");
    let root = config.pointer_mut("/root/path").with_context(at("root"))?;
    *root = json!(tree.join("rootfs"));
    let cgroup = config.pointer_mut("/linux/cgroupsPath");
    let cgroup = cgroup.with_context(at("cgroupsPath"))?;
    *cgroup = json!(cgroup.as_str().unwrap_or_default().replace(id, own));
    // The sandbox's are none of another user namespace.
    let namespaces = config.pointer_mut("/linux/namespaces");
    let namespaces = namespaces.and_then(Value::as_array_mut);
    let mut kinds = vec!["network", "ipc", "uts"];
    for namespace in namespaces.with_context(at("namespaces"))? {
        if let Some(namespace) = namespace.as_object_mut() {
            namespace.remove("path");
            kinds.retain(|kind| namespace.get("type").and_then(Value::as_str) != Some(kind));
        }
    }
    let namespaces = config.pointer_mut("/linux/namespaces");
    let namespaces = namespaces.and_then(Value::as_array_mut);
    let kinds = kinds.into_iter().map(|kind| json!({ "type": kind }));
    namespaces.with_context(at("namespaces"))?.extend(kinds);
    Ok(())
}

/// Who is root in a container, by its description.
fn owner(config: &Value) -> u64 {
    let owner = config.pointer("/linux/uidMappings/0/hostID");
    owner.and_then(Value::as_u64).unwrap_or(0)
}

/// Copies a container's files, for another root user.
async fn copy(from: &Path, tree: &Path, owner: u64) -> Result<()> {
    let to = tree.join("rootfs");
    let words = [
        ("cp", vec!["-a".to_owned(), path(from), path(&to)]),
        (
            "chown",
            vec!["-R".to_owned(), format!("{owner}:{owner}"), path(&to)],
        ),
    ];
    for (program, words) in words {
        let output = Command::new(program).args(&words).output().await?;
        ensure!(output.status.success(), "{program} {words:?}: {output:?}");
    }
    Ok(())
}

fn runs(state: &Value) -> bool {
    state.get("status").and_then(Value::as_str) == Some("running")
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

impl RawContainer {
    /// Runs a script in it, as runc's own exec does.
    ///
    /// # Errors
    /// When runc cannot be run.
    pub async fn exec(&self, script: &str) -> Result<Output> {
        let mut exec = Command::new("runc");
        exec.arg("--root").arg(&self.root).args(["exec", &self.id]);
        let output = exec.args(["sh", "-c", script]).output().await;
        output.context("runc")
    }

    /// Its first process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> Result<u32> {
        let state = self.state()?;
        let pid = state.get("pid").and_then(Value::as_u64);
        Ok(u32::try_from(pid.context("pid")?)?)
    }

    fn state(&self) -> Result<Value> {
        let mut state = std::process::Command::new("runc");
        let state = state
            .arg("--root")
            .arg(&self.root)
            .args(["state", &self.id]);
        Ok(serde_json::from_slice(&state.output()?.stdout)?)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.tree.path().join("log")).unwrap_or_default()
    }
}

impl Drop for RawContainer {
    fn drop(&mut self) {
        let mut delete = std::process::Command::new("runc");
        let delete = delete.arg("--root").arg(&self.root);
        let delete = delete.args(["delete", "--force", &self.id]).output();
        if delete.is_ok_and(|deleted| !deleted.status.success()) {
            tracing::error!(id = self.id, "a container was left behind");
        }
        let _ = std::fs::remove_dir_all(&self.bundle);
    }
}
