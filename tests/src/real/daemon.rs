//! A server of another project, as a process. Its output goes to a file, and it is killed when dropped.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::instruments::eventually::eventually;

/// For the first answer of a server, on a busy machine too.
const START: Duration = Duration::from_secs(90);
/// Lines of a log that an error ends with.
const TAIL: usize = 20;
/// How Go says that a port is another process's.
const TAKEN: &str = "address already in use";
const ATTEMPTS: usize = 3;

/// The process.
#[derive(Debug)]
pub(super) struct Daemon {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a process, with its log in this folder.
    pub(super) fn spawn(name: &'static str, command: &mut Command, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).context("log")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{name}: {}", command.get_program().display()))?;
        Ok(Self { name, child, log })
    }

    /// Waits until `ready` answers something.
    ///
    /// # Errors
    /// When it never does, or the process ends; the text ends in the last lines of its log.
    pub(super) async fn until<T, Fut>(&mut self, mut ready: impl FnMut() -> Fut) -> Result<T>
    where
        Fut: Future<Output = Option<T>>,
    {
        let child = &mut self.child;
        let look = || {
            let ended = child.try_wait().transpose();
            let look = ready();
            async {
                match ended {
                    Some(ended) => Some(Err(ended)),
                    None => look.await.map(Ok),
                }
            }
        };
        let what = format!("{} to serve", self.name);
        let error = match eventually(&what, START, look).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(ended)) => anyhow!("{} has ended: {ended:?}", self.name),
            Err(error) => error,
        };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL)..);
        Err(error.context(tail.unwrap_or_default().join("\n")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only if the process has gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program that an environment variable names.
///
/// # Errors
/// When it is not set.
pub(super) fn named_by(variable: &str) -> Result<OsString> {
    std::env::var_os(variable).with_context(|| format!("{variable} names no program"))
}

/// Starts what cannot choose a port itself, on one that was free a moment ago. If another process was
/// faster, it is tried again on another.
pub(super) async fn on_free_port<T>(mut start: impl AsyncFnMut(u16) -> Result<T>) -> Result<T> {
    let mut attempt = 1;
    loop {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = socket.local_addr()?.port();
        drop(socket);
        match start(port).await {
            Err(error) if attempt < ATTEMPTS && format!("{error:#}").contains(TAKEN) => {
                attempt += 1
            }
            started => return started,
        }
    }
}
