//! Podgate's own parts as the processes they are in a cluster: the built binaries, each with a
//! configuration file, on free ports of the loopback.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::containerd::eventually;

/// From the start of a part to the line in which it says where it listens.
const START: Duration = Duration::from_secs(20);
/// For the end of a part that was told to end.
const STOP: Duration = Duration::from_secs(60);

/// A running part; killed on drop.
pub struct Part {
    child: Child,
    listen: String,
    admin: String,
    log: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
}

/// The path of a built binary. It lies beside the running test's, or one folder above it.
///
/// # Errors
/// When it was not built: `cargo build --workspace --bins` does.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join(name))
        .find(|p| p.is_file());
    found.with_context(|| format!("{name} is not built; run: cargo build --workspace --bins"))
}

impl Part {
    /// Starts a binary, with its mode behind a space where it has several, with a configuration, and
    /// waits until it serves.
    ///
    /// # Errors
    /// When it ends or stays silent instead; with what it logged.
    pub async fn start(name: &str, config: &Path) -> Result<Self> {
        Self::start_in(&[], name, config).await
    }

    /// The same with words before the program, such as `ip netns exec NAME`.
    ///
    /// # Errors
    /// As of [`start`](Self::start).
    pub async fn start_in(enter: &[String], name: &str, config: &Path) -> Result<Self> {
        let mut mode = name.split(' ');
        let binary = binary(mode.next().unwrap_or_default())?;
        let mut command = match enter.split_first() {
            None => Command::new(binary),
            Some((first, words)) => {
                let mut command = Command::new(first);
                command.args(words).arg(binary);
                command
            }
        };
        let mut child = command
            .args(mode)
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| name.to_owned())?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let (counted, lines) = watch::channel(0);
        let keep = Arc::clone(&log);
        // It ends with the process's stderr.
        tokio::spawn(async move {
            let mut stderr = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = stderr.next_line().await {
                keep.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
                counted.send_modify(|count| *count += 1);
            }
        });
        let mut part = Self {
            child,
            listen: String::new(),
            admin: String::new(),
            log,
            lines,
        };
        let serving = part
            .wait_log(START, |line| line["message"] == "serving")
            .await;
        let Ok(serving) = serving else {
            bail!("{name} does not serve:\n{}", part.log().join("\n"));
        };
        let word = |key: &str| serving.get(key)?.as_str().map(str::to_owned);
        part.listen = word("listen").context("no listen in the log")?;
        part.admin = word("admin_address").context("no admin_address in the log")?;
        Ok(part)
    }

    /// The port that it serves.
    pub fn port(&self) -> u16 {
        self.listen
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .unwrap_or_default()
    }

    /// Its log so far, a JSON object a line.
    pub fn log(&self) -> Vec<String> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for a log line, those that came before included.
    ///
    /// # Errors
    /// When none comes in time, or the process ends.
    pub async fn wait_log(
        &self,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.wait_log_from(0, within, wanted).await
    }

    /// The same without the first so many lines, such as those there were when a fault began.
    ///
    /// # Errors
    /// As of [`wait_log`](Self::wait_log).
    pub async fn wait_log_from(
        &self,
        from: usize,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut lines = self.lines.clone();
        let find = || {
            let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            log.iter()
                .skip(from)
                .filter_map(|line| serde_json::from_str(line).ok())
                .find(|line| wanted(line))
        };
        let wait = async {
            loop {
                lines.mark_unchanged();
                if let Some(line) = find() {
                    return Ok(line);
                }
                if lines.changed().await.is_err() {
                    return find().ok_or_else(|| anyhow!("the process ended"));
                }
            }
        };
        timeout(within, wait)
            .await
            .map_err(|_| anyhow!("no such line in the log"))?
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid as i32));
        kill_process(pid.context("the process is gone")?, signal)?;
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(timeout(STOP, self.child.wait())
            .await
            .context("it does not end")??)
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Bytes of its resident memory (proc(5), statm).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident(&self) -> Result<u64> {
        let pid = self.child.id().context("the process is gone")?;
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages: u64 = statm.split(' ').nth(1).context("statm")?.parse()?;
        Ok(pages * rustix::param::page_size() as u64)
    }

    /// Bytes of its resident memory at their most, since its start or [`reset_peak`](Self::reset_peak)
    /// (proc(5), VmHWM).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn peak(&self) -> Result<u64> {
        let pid = self.child.id().context("the process is gone")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kib.context("VmHWM")?.parse::<u64>()? * 1024)
    }

    /// Begins to measure the peak anew (proc(5), clear_refs).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn reset_peak(&self) -> Result<()> {
        let pid = self.child.id().context("the process is gone")?;
        Ok(std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
    }

    /// Waits until its metrics have all of these lines: a client may hear of an end before it is
    /// counted.
    ///
    /// # Errors
    /// When a line does not come in time; with the metrics.
    pub async fn counts(&self, within: Duration, lines: &[&str]) -> Result<()> {
        let look = || async {
            let (_, metrics) = self.admin("/metrics").await.ok()?;
            lines
                .iter()
                .all(|line| metrics.lines().any(|l| l == *line))
                .then_some(())
        };
        if eventually("metrics", within, look).await.is_err() {
            let (_, metrics) = self.admin("/metrics").await?;
            bail!("not all of {lines:#?} are in\n{metrics}");
        }
        Ok(())
    }

    /// Status and body of a GET at its admin address.
    ///
    /// # Errors
    /// When nobody answers there.
    pub async fn admin(&self, path: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(&self.admin).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let body = answer
            .split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned());
        Ok((
            status.context("no HTTP status")?,
            body.context("no HTTP body")?,
        ))
    }
}
