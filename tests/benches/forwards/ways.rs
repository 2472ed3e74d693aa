//! The three ways to one server on this machine's loopback: two stands whose pod has this machine's network,
//! one of them with a node entry, and sshd.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use podgate_tests::fixtures::stand::{Changes, Runs, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::sshd::Sshd;
use podgate_tests::real::containerd::{PodSpec, RunningPod};
use podgate_tests::real::ssh::Client;
use tokio::net::TcpStream;
use tokio::process::Child;

const SOON: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Worker,
    Kubelet,
    Sshd,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Worker, Self::Kubelet, Self::Sshd];
}

/// A pod of a stand.
struct Place {
    _pod: RunningPod,
    stand: Stand,
}

impl Place {
    /// On a containerd of its own, or on another's.
    async fn start(runs: Runs, beside: Option<&Self>) -> Result<Self> {
        let changes = Changes {
            level: Some("info,russh=error"),
            frontdoor: "forwards: {hostNetwork: true}\n".to_owned(),
            runs,
            ..Changes::default()
        };
        let stand = match beside {
            Some(other) => other.stand.beside(changes).await?,
            None => Stand::containerd(changes).await?,
        };
        let pod = stand.run_pod(PodSpec::busybox("demo")).await?;
        Ok(Self { _pod: pod, stand })
    }
}

pub(crate) struct Ways {
    worker: Place,
    kubelet: Place,
    sshd: Sshd,
}

/// An `ssh` that forwards from a port of this machine; it ends on drop.
pub(crate) struct Forward {
    pub(crate) port: u16,
    _ssh: Child,
}

impl Ways {
    pub(crate) async fn start() -> Result<Self> {
        let worker = Place::start(Runs::Auto, None).await?;
        let kubelet = Place::start(Runs::Kubelet, Some(&worker)).await?;
        let sshd = Sshd::start(worker.stand.dir()).await?;
        Ok(Self {
            worker,
            kubelet,
            sshd: sshd.context("sshd is not installed")?,
        })
    }

    /// Has ssh listen for a server's port.
    pub(crate) async fn forward(&self, way: Way, option: &str, server: u16) -> Result<Forward> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let listen = match option {
            "-L" => format!("{port}:127.0.0.1:{server}"),
            _ => port.to_string(),
        };
        let options = ["-N", "-oCiphers=aes128-gcm@openssh.com", option, &listen];
        let mut ssh = match way {
            Way::Worker => self.worker.stand.client.ssh(&options, "demo"),
            Way::Kubelet => self.kubelet.stand.client.ssh(&options, "demo"),
            Way::Sshd => {
                let client = Client::new(self.worker.stand.dir(), self.sshd.port);
                client.to_any_host().ssh(&options, &self.sshd.user)
            }
        };
        let ssh = ssh.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let up = || async { TcpStream::connect(("127.0.0.1", port)).await.ok() };
        eventually("ssh", SOON, up).await?;
        Ok(Forward { port, _ssh: ssh })
    }

    /// Bytes that frontdoor and agent have in memory.
    pub(crate) fn resident(&self, way: Way) -> Result<[u64; 2]> {
        let stand = match way {
            Way::Kubelet => &self.kubelet.stand,
            _ => &self.worker.stand,
        };
        Ok([stand.frontdoor.resident()?, stand.agent.resident()?])
    }
}
