//! What a session may leave behind on its node, as the journal keeps it.

use serde::{Deserialize, Serialize};

use crate::grant::Granted;
use crate::runtime::{HangUp, Trace};

/// What a session may leave behind. Names in the file stay as they are, so that an agent can read what
/// one of an earlier release has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JournalEntry {
    pub(super) session: String,
    pub(super) granted: Granted,
    /// What its runtime finds it by.
    #[serde(rename = "how")]
    pub(super) trace: Trace,
    /// Set once it was hung up.
    #[serde(rename = "begun")]
    pub(super) hang_up: Option<HangUp>,
}

impl JournalEntry {
    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }
}
