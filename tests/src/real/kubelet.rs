//! A kubelet, the program that `PODGATE_KUBELET` names, over a containerd of its own. It runs without
//! an API server: its one pod is a file, and it knows clients only by their certificates.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, unmount};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::containerd::Containerd;
use super::daemon::{Daemon, named_by, on_free_port};
use crate::fixtures::images::Image;
use crate::fixtures::pki::{Issued, Pki};

/// Names the program.
pub const PROGRAM: &str = "PODGATE_KUBELET";

/// One node's kubelet; stops on drop, before its containerd.
#[derive(Debug)]
pub struct Kubelet {
    port: u16,
    process: Daemon,
    _containerd: Containerd,
    _root: Root,
    _dir: TempDir,
}

/// Its folder of pods, which it mounts onto itself. Unmounted on drop.
#[derive(Debug)]
struct Root(PathBuf);

impl Kubelet {
    /// Starts the kubelet of `node`, with certificates of `pki`, and waits until its pod runs:
    /// `web-<node>` of namespace `default`, with container `main`, which runs busybox, and container
    /// `done`, which has ended.
    ///
    /// # Errors
    /// When `PODGATE_KUBELET` is not set, this is not root, or a program does not start.
    pub async fn start(node: &str, pki: &Pki) -> Result<Self> {
        named_by(PROGRAM)?;
        on_free_port(async |port| Self::start_at(port, node, pki).await).await
    }

    async fn start_at(port: u16, node: &str, pki: &Pki) -> Result<Self> {
        let containerd = Containerd::start().await?;
        let dir = tempfile::Builder::new()
            .prefix("podgate-kubelet-")
            .tempdir()?;
        let config = configuration(dir.path(), port, node, pki, &containerd)?;
        let file = dir.path().join("kubelet.yaml");
        // JSON is YAML.
        std::fs::write(&file, config.to_string())?;
        let root = dir.path().join("root");
        let mut command = Command::new(named_by(PROGRAM)?);
        command
            .arg("--config")
            .arg(file)
            .arg("--root-dir")
            .arg(&root)
            .arg("--cert-dir")
            .arg(dir.path().join("pki"))
            .args(["--hostname-override", node]);
        let mut kubelet = Self {
            port,
            process: Daemon::spawn("kubelet", &mut command, dir.path())?,
            _containerd: containerd,
            _root: Root(root),
            _dir: dir,
        };
        let admin = pki.client("admin", &["system:masters"])?;
        let ready = async || {
            let pods = pods(port, node, pki, &admin).await.ok()?;
            settled(&pods).then_some(())
        };
        kubelet.process.until(ready).await?;
        Ok(kubelet)
    }

    /// Where it serves, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // Fails only where it has not been mounted yet.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// `kubelet.config.k8s.io/v1beta1`, with all that it writes below `dir`.
fn configuration(
    dir: &Path,
    port: u16,
    node: &str,
    pki: &Pki,
    containerd: &Containerd,
) -> Result<Value> {
    let manifests = dir.join("manifests");
    std::fs::create_dir(&manifests)?;
    std::fs::write(manifests.join("web.json"), manifest().to_string())?;
    let issued = pki.issue(&[node, "127.0.0.1"])?;
    let (cert, key) = (dir.join("server.crt"), dir.join("server.key"));
    std::fs::write(&cert, issued.cert_pem)?;
    std::fs::write(&key, issued.key_pem)?;
    Ok(json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "127.0.0.1",
        "port": port,
        "healthzPort": 0,
        "tlsCertFile": cert,
        "tlsPrivateKeyFile": key,
        "authentication": {
            "anonymous": {"enabled": false},
            // Both would ask an API server.
            "webhook": {"enabled": false},
            "x509": {"clientCAFile": pki.write_ca(dir)?},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": format!("unix://{}", containerd.socket().display()),
        "staticPodPath": manifests,
        "fileCheckFrequency": "1s",
        "podLogsDir": dir.join("logs"),
        "volumePluginDir": dir.join("plugins"),
        "registerNode": false,
        // The machine is shared: no cgroups of its own, no iptables rules and no evictions. It still
        // sets kernel/panic and other sysctls, as every kubelet does.
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": ["none"],
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%"},
        "localStorageCapacityIsolation": false,
        "makeIPTablesUtilChains": false,
        "failSwapOn": false,
        "failCgroupV1": false,
        "oomScoreAdj": 0,
    }))
}

fn manifest() -> Value {
    let container = |name: &str, command: &[&str]| {
        json!({
            "name": name, "image": Image::Busybox.reference(), "imagePullPolicy": "Never",
            "command": command,
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "hostNetwork": true,
            "restartPolicy": "OnFailure",
            "terminationGracePeriodSeconds": 0,
            "containers": [
                container("main", &["/bin/sleep", "infinity"]),
                container("done", &["/bin/true"]),
            ],
        },
    })
}

/// Its answer to `GET /pods`.
async fn pods(port: u16, node: &str, pki: &Pki, admin: &Issued) -> Result<Value> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let config = Arc::new(pki.client_config(Some(admin))?);
    let name = ServerName::try_from(node.to_owned())?;
    let mut tls = TlsConnector::from(config).connect(name, tcp).await?;
    // HTTP/1.0 has no chunks.
    let request = format!("GET /pods HTTP/1.0\r\nHost: {node}\r\n\r\n");
    tls.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    tls.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
    Ok(serde_json::from_str(body)?)
}

/// Whether one container runs and the other has ended.
fn settled(pods: &Value) -> bool {
    let statuses = pods.pointer("/items/0/status/containerStatuses");
    let is = |name: &str, state: &str| {
        let mut statuses = statuses.and_then(Value::as_array).into_iter().flatten();
        statuses.any(|status| {
            status.get("name").is_some_and(|is| is == name)
                && status.pointer(&format!("/state/{state}")).is_some()
        })
    };
    is("main", "running") && is("done", "terminated")
}
