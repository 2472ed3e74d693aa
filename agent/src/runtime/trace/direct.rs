//! The journal keeps nothing of what the node entry has started: the entry ends what its agent has held.

use serde::{Deserialize, Serialize};

/// A hang-up whose grace runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HangUp {
    /// In clock ticks since boot.
    pub(crate) at: u64,
}
