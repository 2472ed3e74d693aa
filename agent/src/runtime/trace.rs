//! What the journal keeps of a program for its runtime. There is one file per runtime.

pub(crate) mod direct;
pub(crate) mod kubelet;

use serde::{Deserialize, Serialize};

/// What a runtime finds a program by after a crash of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Trace {
    Kubelet(kubelet::Trace),
}

/// A hang-up during its grace: which process got SIGHUP, and which SIGKILL will go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum HangUp {
    Kubelet(kubelet::HangUp),
    Direct(direct::HangUp),
}

impl HangUp {
    /// When SIGHUP was sent, in clock ticks since boot.
    pub(crate) fn at(&self) -> u64 {
        match self {
            Self::Kubelet(hang_up) => hang_up.at(),
            Self::Direct(hang_up) => hang_up.at,
        }
    }
}
