//! What the starter was told on its command line.

use std::path::PathBuf;
use std::time::Duration;

use super::counts::Most;
use crate::container::config::Rules;

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) socket: PathBuf,
    pub(crate) agent_uid: Option<u32>,
    pub(crate) launcher: PathBuf,
    pub(crate) worker: PathBuf,
    /// The node's root folder, and folders of containerd's state below it.
    pub(crate) node: PathBuf,
    pub(crate) containerd: Vec<PathBuf>,
    pub(crate) journal: Option<PathBuf>,
    pub(crate) rules: Rules,
    /// Between SIGHUP and SIGKILL.
    pub(crate) grace: Duration,
    /// For a runtime to start a program.
    pub(crate) start: Duration,
    pub(crate) starts: Most,
    pub(crate) programs: Most,
}
