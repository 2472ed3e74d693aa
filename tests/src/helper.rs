//! The node helper as the process it is beside an agent.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

use crate::containerd::eventually;
use crate::gateway::binary;

/// For the helper to listen.
const START: Duration = Duration::from_secs(10);

/// A running helper; killed on drop.
pub struct Helper {
    child: Child,
    socket: PathBuf,
}

impl Helper {
    /// Starts a helper on a socket and waits until it listens. Root is needed.
    ///
    /// # Errors
    /// When it does not come to listen.
    pub async fn start(socket: &Path) -> Result<Self> {
        Self::start_with(socket, &[]).await
    }

    /// The same with more arguments.
    ///
    /// # Errors
    /// As of [`start`](Self::start).
    pub async fn start_with(socket: &Path, arguments: &[&str]) -> Result<Self> {
        let child = Command::new(binary("podgate-node-helper")?)
            .arg("--socket")
            .arg(socket)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("podgate-node-helper")?;
        let socket = socket.to_owned();
        let listens = || async { tokio::net::UnixStream::connect(&socket).await.ok() };
        eventually("the node helper's socket", START, listens).await?;
        Ok(Self { child, socket })
    }

    /// Kills it, and starts it anew.
    ///
    /// # Errors
    /// When it does not come to listen.
    pub async fn restart(&mut self) -> Result<()> {
        self.child.kill().await?;
        *self = Self::start(&self.socket).await?;
        Ok(())
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}
