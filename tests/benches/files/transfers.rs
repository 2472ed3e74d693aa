//! Transfers that go on until they are dropped, each by an sftp of its own.

use std::fs::metadata;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::ssh::Client;
use tokio::process::Child;

use crate::stage::CIPHER;

/// How often one is begun anew.
const TIMES: usize = 10_000;
/// Bytes that must have moved before a transfer counts as begun.
const BEGUN: u64 = 1 << 20;
const SOON: Duration = Duration::from_secs(60);

/// A transfer that is under way; it ends on drop, and what it has made is removed.
pub(crate) struct Transfer {
    _sftp: Child,
    /// What grows.
    grows: PathBuf,
}

/// From one path to another, and where this machine sees the latter.
pub(crate) struct What<'a> {
    pub(crate) command: &'a str,
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) seen: PathBuf,
}

impl Transfer {
    /// Begins one, and waits until bytes move. `batch` is a file of its own.
    pub(crate) async fn begin(
        client: &Client,
        user: &str,
        batch: &Path,
        what: What<'_>,
    ) -> Result<Self> {
        let line = format!("{} {} {}\n", what.command, what.from, what.to);
        std::fs::write(batch, line.repeat(TIMES))?;
        let mut sftp = client.tool("sftp");
        sftp.args([CIPHER, "-b"])
            .arg(batch)
            .arg(client.address(user));
        sftp.stdout(Stdio::null()).stderr(Stdio::null());
        let this = Self {
            _sftp: sftp.spawn()?,
            grows: what.seen,
        };
        let begun = || async { (this.length() >= BEGUN).then_some(()) };
        eventually("a transfer", SOON, begun).await?;
        Ok(this)
    }

    /// Bytes that have come. Of a file that was begun anew they are fewer.
    pub(crate) fn length(&self) -> u64 {
        metadata(&self.grows).map_or(0, |found| found.len())
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.grows);
    }
}
