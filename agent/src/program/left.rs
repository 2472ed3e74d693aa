//! What a session may leave behind on its node, and what it is found by, kept in the journal until it is
//! known to be over.

use serde::{Deserialize, Serialize};

use crate::grant::Granted;
use crate::kubelet::hangup::Leader;
use podgate_helper::protocol::{ContainerId, HungUp, Process};

/// What a session may leave behind, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Left {
    pub(super) session: String,
    pub(super) granted: Granted,
    pub(super) how: How,
    /// Once it was hung up.
    pub(super) begun: Option<Begun>,
}

/// A hang-up whose grace runs: whom SIGHUP went to, and what SIGKILL takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Begun {
    ByNode {
        leader: Process,
        hung_up: HungUp,
    },
    ByKubelet {
        leader: Leader,
        foreground: u32,
        /// In clock ticks since boot.
        at: u64,
    },
}

impl Begun {
    pub(super) fn at(&self) -> u64 {
        match self {
            Self::ByNode { hung_up, .. } => hung_up.at,
            Self::ByKubelet { at, .. } => *at,
        }
    }
}

/// How a program was started, which is how it can be found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum How {
    /// Behind the wrapper, which says who leads, and marks what it starts.
    Wrapped { leader: Option<Leader> },
    /// By its bare words, in an image without a shell.
    Words(Words),
}

/// What is known of a program that nothing marks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Words {
    pub(super) words: Vec<String>,
    /// In clock ticks since boot.
    pub(super) since: u64,
    pub(super) terminal: bool,
    pub(super) leader: Option<Process>,
}

impl Left {
    pub(super) fn new(session: &str, granted: Granted) -> Self {
        Self {
            session: session.to_owned(),
            granted,
            how: How::Wrapped { leader: None },
            begun: None,
        }
    }

    pub(super) fn leader_unknown(&self) -> bool {
        match &self.how {
            How::Wrapped { leader } => leader.is_none(),
            How::Words(words) => words.leader.is_none(),
        }
    }

    /// The container as the helper knows it.
    pub(super) fn container(&self) -> Option<ContainerId> {
        let (_, id) = self.granted.container_id.split_once("://")?;
        ContainerId::try_from(id.to_owned()).ok()
    }
}
