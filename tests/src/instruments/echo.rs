//! A session that echoes lines. It shows that it lives, and why it ended.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// For an echo.
const SOON: Duration = Duration::from_secs(20);
/// For the end.
const END: Duration = Duration::from_secs(60);

/// An ssh whose command echoes lines, as `cat` does; it ends on drop.
pub struct Echo {
    ssh: Child,
    stdout: BufReader<ChildStdout>,
}

impl Echo {
    /// Runs an ssh, and does not wait for it.
    ///
    /// # Errors
    /// When there is none.
    pub fn spawn(mut ssh: Command) -> Result<Self> {
        ssh.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut ssh = ssh.kill_on_drop(true).spawn()?;
        let stdout = BufReader::new(ssh.stdout.take().context("no stdout")?);
        Ok(Self { ssh, stdout })
    }

    /// Runs an ssh, and has a line echoed.
    ///
    /// # Errors
    /// When it is not.
    pub async fn start(ssh: Command) -> Result<Self> {
        let mut this = Self::spawn(ssh)?;
        this.again().await?;
        Ok(this)
    }

    /// Has one more line echoed.
    ///
    /// # Errors
    /// When it is not.
    pub async fn again(&mut self) -> Result<()> {
        self.says("here").await
    }

    /// Has this word echoed.
    ///
    /// # Errors
    /// When it is not; with how the session ended, if another line came.
    pub async fn says(&mut self, word: &str) -> Result<()> {
        let stdin = self.ssh.stdin.as_mut().context("no stdin")?;
        stdin.write_all(format!("{word}\n").as_bytes()).await?;
        let mut line = String::new();
        timeout(SOON, self.stdout.read_line(&mut line))
            .await
            .context("no echo")??;
        if line != format!("{word}\n") {
            bail!("{line:?}, not {word:?}: {:?}", self.over().await?);
        }
        Ok(())
    }

    /// Ends what it reads.
    pub fn close(&mut self) {
        self.ssh.stdin.take();
    }

    /// Waits for its end; gives what was said of it, and ssh's exit status.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ended(mut self) -> Result<(String, Option<i32>)> {
        self.over().await
    }

    async fn over(&mut self) -> Result<(String, Option<i32>)> {
        let mut said = String::new();
        let mut stderr = self.ssh.stderr.take().context("no stderr")?;
        let read = stderr.read_to_string(&mut said);
        timeout(END, read).await.context("it does not end")??;
        Ok((said, self.ssh.wait().await?.code()))
    }

    /// The ssh's process.
    pub fn pid(&self) -> Option<u32> {
        self.ssh.id()
    }

    /// Kills the ssh.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.ssh.kill().await?)
    }
}
