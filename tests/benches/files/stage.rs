//! The setting: a container that a worker serves, an sshd beside it, one folder that both have, and clients.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use podgate_tests::fixtures::images::Image;
use podgate_tests::fixtures::stand::{Changes, Runs, Stand};
use podgate_tests::instruments::sshd::Sshd;
use podgate_tests::real::containerd::{ContainerSpec, PodSpec, RunningPod};
use podgate_tests::real::cri::Mount;
use podgate_tests::real::ssh::Client;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::delay;
use crate::sizes::Sizes;

/// Where the container has the folder.
pub(crate) const THERE: &str = "/data";
/// Both sides are to have the same.
pub(crate) const CIPHER: &str = "-oCiphers=aes128-gcm@openssh.com";
/// For one run of a client.
const WITHIN: Duration = Duration::from_secs(1800);

/// What serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Podgate,
    Sshd,
}

/// A client of either, and where it logs in.
struct Way {
    near: Client,
    /// Over the slow network.
    far: Client,
    user: String,
    /// Where it has the folder.
    folder: PathBuf,
}

pub(crate) struct Stage {
    _pod: RunningPod,
    pub(crate) stand: Stand,
    _sshd: Sshd,
    podgate: Way,
    sshd: Way,
    /// The container's and the sshd's.
    folder: TempDir,
    /// The client's.
    local: TempDir,
}

impl Stage {
    pub(crate) async fn new(sizes: &Sizes) -> Result<Self> {
        let (folder, local) = (tempfile::tempdir()?, tempfile::tempdir()?);
        fill(folder.path(), local.path(), sizes)?;
        let changes = Changes {
            level: Some("info,russh=error"),
            runs: Runs::Auto,
            ..Changes::default()
        };
        let stand = Stand::containerd(changes).await?;
        let pod = run_pod(&stand, folder.path()).await?;
        let sshd = Sshd::start(stand.dir())
            .await?
            .context("sshd is not installed")?;

        let (_, port, _, _) = stand.client.parts();
        let podgate = Way {
            near: stand.client.clone(),
            far: Client::new(stand.dir(), delay::relay(port).await?).to_any_host(),
            user: "demo".to_owned(),
            folder: THERE.into(),
        };
        let sshd_way = Way {
            near: Client::new(stand.dir(), sshd.port).to_any_host(),
            far: Client::new(stand.dir(), delay::relay(sshd.port).await?).to_any_host(),
            user: sshd.user.clone(),
            folder: folder.path().to_owned(),
        };
        Ok(Self {
            _pod: pod,
            stand,
            _sshd: sshd,
            podgate,
            sshd: sshd_way,
            folder,
            local,
        })
    }

    fn way(&self, via: Via) -> &Way {
        match via {
            Via::Podgate => &self.podgate,
            Via::Sshd => &self.sshd,
        }
    }

    /// A file of the client's.
    pub(crate) fn local(&self, name: &str) -> String {
        self.local.path().join(name).display().to_string()
    }

    /// A file of the container's folder, as this machine names it.
    pub(crate) fn in_folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of the folder, as this server names it.
    pub(crate) fn there(&self, via: Via, name: &str) -> String {
        self.way(via).folder.join(name).display().to_string()
    }

    /// `user@host`.
    pub(crate) fn address(&self, via: Via) -> String {
        let way = self.way(via);
        way.near.address(&way.user)
    }

    /// An open connection, and the option that uses it.
    pub(crate) async fn share(&self, via: Via) -> Result<podgate_tests::real::ssh::Shared> {
        let way = self.way(via);
        way.near.share(&way.user).await
    }

    /// How long a batch of sftp takes.
    pub(crate) async fn sftp(
        &self,
        via: Via,
        is_far: bool,
        options: &[&str],
        batch: &str,
    ) -> Result<Duration> {
        let file = self.local.path().join("batch");
        std::fs::write(&file, batch)?;
        let mut words: Vec<&str> = options.to_vec();
        let file = file.display().to_string();
        words.extend(["-b", &file]);
        let address = self.address(via);
        words.push(&address);
        self.run(via, is_far, "sftp", &words).await
    }

    /// How long a program of OpenSSH takes.
    pub(crate) async fn run(
        &self,
        via: Via,
        is_far: bool,
        program: &str,
        words: &[&str],
    ) -> Result<Duration> {
        let way = self.way(via);
        let client = if is_far { &way.far } else { &way.near };
        let mut command = client.tool(program);
        command.arg(CIPHER).args(words);
        let begun = Instant::now();
        let output = timeout(WITHIN, command.stdout(Stdio::null()).output()).await;
        let output = output.context("the client does not end")??;
        let took = begun.elapsed();
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} {words:?}: {told}");
        Ok(took)
    }
}

/// The pod that transfers are with. Its image has no server of files.
pub(crate) async fn run_pod(stand: &Stand, folder: &Path) -> Result<RunningPod> {
    let mut main = ContainerSpec::new("main", Image::Busybox);
    main.mounts.push(Mount {
        container_path: THERE.to_owned(),
        host_path: folder.display().to_string(),
        readonly: false,
    });
    stand.run_pod(PodSpec::new("demo").container(main)).await
}

/// Makes what is sent and fetched.
fn fill(folder: &Path, local: &Path, sizes: &Sizes) -> Result<()> {
    for (name, size) in [("large", sizes.large), ("delayed", sizes.delayed)] {
        let mut bytes = std::io::Read::take(std::fs::File::open("/dev/urandom")?, size);
        std::io::copy(&mut bytes, &mut std::fs::File::create(local.join(name))?)?;
        std::fs::copy(local.join(name), folder.join(name))?;
    }
    for root in [folder, local] {
        std::fs::create_dir(root.join("small"))?;
        for number in 0..sizes.small {
            std::fs::write(root.join(format!("small/{number}")), [7; 1024])?;
        }
    }
    std::fs::create_dir(folder.join("listed"))?;
    for number in 0..sizes.listed {
        std::fs::File::create(folder.join(format!("listed/{number}")))?;
    }
    Ok(())
}
