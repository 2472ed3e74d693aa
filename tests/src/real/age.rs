//! Keys of the stock `age`, and a shell that reads with them what is encrypted.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// A key.
#[derive(Debug)]
pub struct Key {
    /// The file with the secret part.
    pub file: PathBuf,
    /// The public part.
    pub recipient: String,
}

impl Key {
    /// Makes one, in a file.
    pub async fn make(file: &Path) -> Result<Self> {
        let made = Command::new("age-keygen").arg("-o").arg(file).output();
        let made = made.await?;
        ensure!(made.status.success(), "{made:?}");
        let public = Command::new("age-keygen").arg("-y").arg(file).output();
        Ok(Self {
            file: file.to_owned(),
            recipient: String::from_utf8(public.await?.stdout)?.trim().to_owned(),
        })
    }

    /// What the commands of docs/recordings.md make of a tar of `export`.
    pub async fn read(&self, tar: &[u8]) -> Result<String> {
        let key = self.file.display();
        let line = format!("tar -xf - --to-command='age -d -i {key}' | zstd -d");
        let mut shell = Command::new("bash");
        let shell = shell.args(["-o", "pipefail", "-c", &line]);
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut stdin = shell.stdin.take().context("its input")?;
        let (_, output) = tokio::join!(
            async move { stdin.write_all(tar).await },
            shell.wait_with_output()
        );
        let output = output?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?)
    }
}
