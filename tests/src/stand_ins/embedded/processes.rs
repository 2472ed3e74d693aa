//! The processes that the runtime has started, and their end. A process is started and noted under one
//! lock, so that none can escape the killing at the end.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::process::Child;
use tokio::sync::watch;

/// The variable that marks everything started here and its descendants.
pub(super) const MARKER: &str = "EMBEDDED_RUNTIME";

/// A command that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningExec {
    /// Process id, also that of its process group and session.
    pub pid: u32,
    /// The container it was started in.
    pub container: String,
    /// The command.
    pub argv: Vec<String>,
    /// Whether it has a terminal.
    pub tty: bool,
}

pub(super) struct Processes {
    marker: Vec<u8>,
    closed: Mutex<bool>,
    running: watch::Sender<BTreeMap<u32, RunningExec>>,
}

impl Processes {
    /// `home` is this runtime's alone, and so tells its processes from all others.
    pub(super) fn new(home: &Path) -> Self {
        let marker = [MARKER.as_bytes(), b"=", home.as_os_str().as_bytes()].concat();
        Self {
            marker,
            closed: Mutex::new(false),
            running: watch::Sender::default(),
        }
    }

    /// Starts a process and notes it; `note` describes it, given its id.
    pub(super) fn start<T>(
        &self,
        start: impl FnOnce() -> Result<(Child, T)>,
        note: impl FnOnce(u32) -> RunningExec,
    ) -> Result<(Child, T)> {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(!*closed, "the runtime has ended");
        let (child, io) = start()?;
        if let Some(pid) = child.id() {
            self.running
                .send_modify(|running| drop(running.insert(pid, note(pid))));
        }
        Ok((child, io))
    }

    /// A process was reaped.
    pub(super) fn ended(&self, pid: u32) {
        self.running
            .send_modify(|running| drop(running.remove(&pid)));
    }

    pub(super) fn running(&self) -> Vec<RunningExec> {
        self.running.borrow().values().cloned().collect()
    }

    pub(super) async fn until(&self, count: usize) {
        // The sender is in `self`, so this ends only with the right count.
        let _ = self
            .running
            .subscribe()
            .wait_for(|running| running.len() == count)
            .await;
    }

    /// Kills everything that is marked or in the session of a command, and reaps the commands. Blocks
    /// for the few milliseconds that this takes.
    pub(super) fn kill_all(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        let leaders: Vec<u32> = self.running.borrow().keys().copied().collect();
        // A process that is forked meanwhile is found in the next round.
        for _ in 0..500 {
            let alive = self.alive(&leaders);
            if alive.is_empty() {
                break;
            }
            for pid in alive {
                // It may have ended since.
                let _ = kill_process(pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        for pid in leaders
            .iter()
            .filter_map(|pid| Pid::from_raw((*pid).cast_signed()))
        {
            // An error means that the async runtime has reaped it first.
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
    }

    fn alive(&self, leaders: &[u32]) -> Vec<Pid> {
        let Ok(entries) = std::fs::read_dir("/proc") else {
            return Vec::new();
        };
        let pid = |name: &OsStr| name.to_str()?.parse().ok().and_then(Pid::from_raw);
        entries
            .flatten()
            .filter_map(|entry| pid(&entry.file_name()))
            .filter(|pid| self.owns(*pid, leaders))
            .collect()
    }

    fn owns(&self, pid: Pid, leaders: &[u32]) -> bool {
        let dir = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
        let stat = std::fs::read_to_string(dir.join("stat")).unwrap_or_default();
        // The fields follow the name in parentheses, which may contain spaces: state, parent, group,
        // session.
        let mut fields = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_ascii_whitespace();
        if matches!(fields.next(), None | Some("Z" | "X")) {
            return false;
        }
        let session = fields.nth(2).and_then(|session| session.parse().ok());
        session.is_some_and(|session| leaders.contains(&session)) || {
            let environ = std::fs::read(dir.join("environ")).unwrap_or_default();
            environ
                .split(|byte| *byte == 0)
                .any(|variable| variable == self.marker)
        }
    }
}
