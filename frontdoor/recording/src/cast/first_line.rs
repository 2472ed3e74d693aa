//! The first line, which says what session was recorded.

use serde::{Deserialize, Serialize};

/// The version of asciicast that is written, and the only one that is read.
pub(super) const VERSION: u8 = 3;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the format's page has them")]
pub struct Header {
    pub(super) version: u8,
    pub term: Term,
    /// Seconds since 1970.
    pub timestamp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    pub title: String,
    /// What the audit log has of the session.
    pub podgate: About,
}

/// The terminal. A session without one has 80 columns and 24 rows here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the format's page has them")]
pub struct Term {
    pub cols: u32,
    pub rows: u32,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// A session, as the audit log names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "docs/recordings.md has them")]
pub struct About {
    pub recording: String,
    pub session: String,
    pub user: String,
    pub groups: Vec<String>,
    pub client: String,
    pub namespace: String,
    pub pod: String,
    pub uid: String,
    pub container: String,
    pub node: String,
    /// The frontdoor that records, or has recorded.
    #[serde(default)]
    pub frontdoor: String,
    pub tty: bool,
    /// Whether what the user typed is recorded, too.
    pub input: bool,
    /// Whether only the holders of some keys can read it. Its command is then in no index object.
    #[serde(default, skip_serializing_if = "is_false")]
    pub encrypted: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl About {
    /// What is shown in the place of a command, where there is none.
    pub fn no_command(&self) -> &'static str {
        match self.encrypted {
            true => "encrypted",
            false => "shell",
        }
    }
}

impl Header {
    /// Makes a header.
    pub fn new(term: Term, timestamp: u64, command: Option<String>, podgate: About) -> Self {
        let title = format!("{} in {}.{}", podgate.user, podgate.pod, podgate.namespace);
        let version = VERSION;
        Self {
            version,
            term,
            timestamp,
            command,
            title,
            podgate,
        }
    }
}
