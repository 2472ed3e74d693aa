//! The setting of the measurements: a stand, an sshd beside it, and the three ways to run a command.

use anyhow::{Context, Result};
use podgate_tests::fixtures::images::Image;
use podgate_tests::fixtures::stand::{Changes, Runs, Stand};
use podgate_tests::instruments::bench::build_static;
use podgate_tests::instruments::client::{Connection, Login, Session};
use podgate_tests::instruments::direct::{Direct, Exec};
use podgate_tests::instruments::sshd::Sshd;
use podgate_tests::real::containerd::{ContainerSpec, PodSpec, RunningPod};
use tokio::runtime::{Builder, Runtime};

/// The ways, in the table's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Gateway,
    Kubelet,
    Sshd,
}

/// What programs run in, and what starts them for the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Containers {
    /// Plain processes for containers, which cost next to nothing.
    Plain,
    /// Real containers by containerd and runc, which need root, and the kubelet's stand-in.
    Kubelet,
    /// The same and the node entry.
    Entry,
}

/// Everything that is measured. The stand-ins have threads of their own in this process, and the timed
/// clients have one. In all three ways they share the machine's cores with the parts.
pub(crate) struct Bench {
    /// The pod `demo`, if it is a real one. It is dropped before its containerd.
    pub(crate) pod: Option<RunningPod>,
    pub(crate) stand: Stand,
    pub(crate) direct: Direct,
    /// For the frontdoor.
    pub(crate) login: Login,
    /// None if sshd is not installed.
    pub(crate) sshd: Option<Sshd>,
    clients: Runtime,
    _stand_ins: Runtime,
}

impl Bench {
    pub(crate) fn new(containers: Containers) -> Result<Self> {
        let real = containers != Containers::Plain;
        if containers == Containers::Entry {
            build_static()?;
        }
        let stand_ins = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let clients = Builder::new_current_thread().enable_all().build()?;
        let (stand, pod, sshd) = stand_ins.block_on(async {
            // The values of the example configurations.
            let changes = Changes {
                level: Some("info,russh=error"),
                helper: real,
                runs: match containers {
                    Containers::Entry => Runs::Direct,
                    _ => Runs::Kubelet,
                },
                ..Changes::default()
            };
            let (stand, pod) = if real {
                let stand = Stand::containerd(changes).await?;
                let main = ContainerSpec::new("main", Image::Busybox);
                let pod = stand.run_pod(PodSpec::new("demo").container(main)).await?;
                (stand, Some(pod))
            } else {
                (Stand::embedded(changes).await?, None)
            };
            let sshd = Sshd::start(stand.dir()).await?;
            anyhow::Ok((stand, pod, sshd))
        })?;
        Ok(Self {
            direct: Direct::new(&stand)?,
            login: Login::to(&stand, "demo")?,
            stand,
            sshd,
            pod,
            clients,
            _stand_ins: stand_ins,
        })
    }

    /// Runs the timed part.
    pub(crate) fn run<F: Future>(&self, timed: F) -> F::Output {
        self.clients.block_on(timed)
    }

    /// The ways that are available. Each round begins with another one.
    pub(crate) fn vias(&self, round: usize) -> Vec<Via> {
        let mut vias = vec![Via::Gateway, Via::Kubelet];
        if self.sshd.is_some() {
            vias.push(Via::Sshd);
        }
        let first = round % vias.len();
        vias.rotate_left(first);
        vias
    }

    /// Where to log in, for the ways that have a login.
    pub(crate) fn login(&self, via: Via) -> Result<&Login> {
        match via {
            Via::Gateway => Ok(&self.login),
            Via::Sshd => Ok(&self.sshd.as_ref().context("no sshd")?.login),
            Via::Kubelet => anyhow::bail!("the kubelet has no login"),
        }
    }

    /// Opens a way: its SSH connection. The kubelet has a connection for each exec.
    pub(crate) async fn open(&self, via: Via) -> Result<Open> {
        Ok(match via {
            Via::Kubelet => Open::Kubelet(self.direct.clone()),
            via => Open::Ssh(self.login(via)?.connect().await?),
        })
    }
}

/// Something that programs can be started on.
pub(crate) enum Open {
    Ssh(Connection),
    Kubelet(Direct),
}

/// A program on either.
pub(crate) enum Running {
    Ssh(Session),
    Kubelet(Exec),
}

/// Does the same to a program, whichever way it runs.
macro_rules! either {
    ($running:expr, $program:ident => $do:expr) => {
        match $running {
            $crate::bench::Running::Ssh($program) => $do,
            $crate::bench::Running::Kubelet($program) => $do,
        }
    };
}
pub(crate) use either;

impl Open {
    /// Starts a command, on a terminal or not.
    pub(crate) async fn start(&self, command: &str, tty: bool) -> Result<Running> {
        Ok(match (self, tty) {
            (Self::Ssh(ssh), true) => Running::Ssh(ssh.terminal(Some(command)).await?),
            (Self::Ssh(ssh), false) => Running::Ssh(ssh.exec(command).await?),
            (Self::Kubelet(kubelet), tty) => Running::Kubelet(kubelet.exec(command, tty).await?),
        })
    }

    pub(crate) async fn close(self) {
        if let Self::Ssh(connection) = self {
            connection.close().await;
        }
    }
}
