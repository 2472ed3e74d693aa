//! How a program that the kubelet has started is found again.

use serde::{Deserialize, Serialize};

use crate::shell::leader::Leader;
use podgate_helper::protocol::{HungUp, Process};

/// How a program was started, which is how it can be found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Trace {
    /// Behind the wrapper, which reports the leader and marks what it starts.
    Wrapped {
        leader: Option<Leader>,
        /// The earliest time of its start, in clock ticks since boot.
        #[serde(default)]
        since: Option<u64>,
    },
    /// By its bare words, in an image without a shell.
    Words(Words),
}

/// What is known of a program that nothing marks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Words {
    pub(crate) words: Vec<String>,
    /// The earliest time of its start, in clock ticks since boot.
    pub(crate) since: u64,
    pub(crate) terminal: bool,
    pub(crate) leader: Option<Process>,
    /// When the leader was last seen, in clock ticks since boot.
    #[serde(default)]
    pub(crate) seen: Option<u64>,
}

/// A hang-up during its grace: which process got SIGHUP, and which SIGKILL will go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HangUp {
    ByNode {
        leader: Process,
        hung_up: HungUp,
    },
    #[serde(rename = "ByKubelet")]
    ByShell {
        leader: Leader,
        foreground: u32,
        /// In clock ticks since boot.
        at: u64,
        /// The same by the container's clock. A sandbox has a machine of its own, which has booted later.
        #[serde(default)]
        at_inside: Option<u64>,
    },
}

impl HangUp {
    pub(crate) fn at(&self) -> u64 {
        match self {
            Self::ByNode { hung_up, .. } => hung_up.at,
            Self::ByShell { at, .. } => *at,
        }
    }
}

impl Trace {
    pub(crate) fn leader_unknown(&self) -> bool {
        match self {
            Self::Wrapped { leader, .. } => leader.is_none(),
            Self::Words(words) => words.leader.is_none(),
        }
    }
}
