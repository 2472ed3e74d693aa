//! asciicast v3 (docs.asciinema.org/manual/asciicast/v3): a header line, then a line an event. Two codes
//! of our own, which players skip, say what the format cannot: after an output, `e` says that it was on
//! stderr, and after any data, `b` has its bytes in base64 because they are not UTF-8.

mod decode;
mod encode;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use decode::{Error, events, header};
pub use encode::Encoder;

const VERSION: u8 = 3;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the format's page has them")]
pub struct Header {
    pub(crate) version: u8,
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
    pub tty: bool,
    /// Whether what the user typed is recorded, too.
    pub input: bool,
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

/// What happened at some time of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says it")]
pub enum Event {
    Output(Stream, Bytes),
    Input(Bytes),
    Resize {
        columns: u32,
        rows: u32,
    },
    Marker(String),
    /// The program's exit status.
    Exit(u32),
}

/// Where a program wrote. With a terminal all is stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says it")]
pub enum Stream {
    Stdout,
    Stderr,
}

#[cfg(test)]
pub(crate) mod tests;
