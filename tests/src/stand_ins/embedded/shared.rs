//! What all execs of a runtime share, and what one is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use super::processes::Processes;

/// What a client asked to run, after the kubelet's rules for flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// The command and its arguments; the first is looked up in the container's `PATH`.
    pub argv: Vec<String>,
    /// A stdin stream comes.
    pub stdin: bool,
    /// A stdout stream comes.
    pub stdout: bool,
    /// A stderr stream comes; never with `tty`.
    pub stderr: bool,
    /// On a terminal; a resize stream comes.
    pub tty: bool,
}

/// What differs from container to container.
#[derive(Clone, Debug, Default)]
pub struct EmbeddedContainer {
    /// Working directory; the runtime's own empty folder if none.
    pub dir: Option<PathBuf>,
    /// More environment, over `PATH`, `HOME` and `TERM`.
    pub env: Vec<(String, String)>,
    /// `PATH`; the usual one if none. A folder with one program stands for an image without a
    /// shell.
    pub path: Option<String>,
}

/// The runtime's own, without which no exec runs.
pub(super) struct Inner {
    pub(super) home: TempDir,
    pub(super) processes: Processes,
    pub(super) settings: Mutex<Settings>,
}

pub(super) struct Settings {
    pub(super) close_stdin_early: bool,
    pub(super) containers: BTreeMap<String, EmbeddedContainer>,
}

impl Inner {
    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
