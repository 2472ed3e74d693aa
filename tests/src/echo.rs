//! A session that echoes lines, to see that it lives, and why it ended.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// For an echo, or the end.
const SOON: Duration = Duration::from_secs(60);

/// `cat` at the other end of an ssh, which ends on drop.
pub struct Echo(Child);

impl Echo {
    /// Runs an ssh whose command is `cat`, and has a line echoed.
    ///
    /// # Errors
    /// When it is not.
    pub async fn start(mut ssh: Command) -> Result<Self> {
        ssh.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut this = Self(ssh.kill_on_drop(true).spawn()?);
        this.again().await?;
        Ok(this)
    }

    /// Has one more line echoed.
    ///
    /// # Errors
    /// When it is not.
    pub async fn again(&mut self) -> Result<()> {
        let stdin = self.0.stdin.as_mut().context("no stdin")?;
        stdin.write_all(b"here\n").await?;
        let mut line = String::new();
        let mut stdout = BufReader::new(self.0.stdout.as_mut().context("no stdout")?);
        timeout(SOON, stdout.read_line(&mut line))
            .await
            .context("no echo")??;
        ensure!(line == "here\n", "{line:?} came back");
        Ok(())
    }

    /// Ends what it reads.
    pub fn close(&mut self) {
        self.0.stdin.take();
    }

    /// Waits for its end; gives what was said of it, and ssh's exit status.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ended(mut self) -> Result<(String, Option<i32>)> {
        let mut said = String::new();
        let mut stderr = self.0.stderr.take().context("no stderr")?;
        let read = stderr.read_to_string(&mut said);
        timeout(SOON, read).await.context("it does not end")??;
        Ok((said, self.0.wait().await?.code()))
    }

    /// Kills the ssh.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.0.kill().await?)
    }
}
