//! The kind of each action: what a grant allows, and its word in logs, audit events and metrics.

use crate::v1::{Action, open};

impl open::Action {
    /// What a grant must allow for it.
    pub fn kind(&self) -> Action {
        match self {
            Self::Exec(_) => Action::Exec,
            Self::Files(_) => Action::Files,
            Self::Dial(_) => Action::Dial,
            Self::Listen(_) | Self::Accept(_) => Action::Listen,
        }
    }
}

impl Action {
    /// Its word in logs, audit events and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "none",
            Self::Exec => "exec",
            Self::Files => "files",
            Self::Dial => "dial",
            Self::Listen => "listen",
        }
    }
}
