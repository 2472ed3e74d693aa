//! OpenSSH's ssh-agent with one key.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::instruments::eventually::eventually;
use crate::real::ssh::keygen;

const SOON: Duration = Duration::from_secs(30);

/// An ssh-agent; it ends on drop.
#[derive(Debug)]
pub struct SshAgent {
    _process: Child,
    socket: PathBuf,
    _dir: TempDir,
}

impl SshAgent {
    /// Starts one, with a new key.
    ///
    /// # Errors
    /// OpenSSH's programs are missing, or the agent does not take the key.
    pub async fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (socket, key) = (dir.path().join("agent"), dir.path().join("key"));
        keygen(&key, &["-t", "ed25519"]).await?;
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket);
        command.stdout(Stdio::null()).kill_on_drop(true);
        let process = command.spawn().context("ssh-agent")?;
        let add = || async {
            let mut add = Command::new("ssh-add");
            add.arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket);
            let added = add.stdin(Stdio::null()).output().await;
            added.is_ok_and(|it| it.status.success()).then_some(())
        };
        eventually("the key", SOON, add).await?;
        Ok(Self {
            _process: process,
            socket,
            _dir: dir,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}
