//! An index object: what a list shows of a recording. It is written with the first chunk, and again at
//! the end.

use serde::{Deserialize, Serialize};

use crate::cast::Header;
use crate::chunk::Whole;

/// The longest index object.
pub(crate) const MAX: u64 = 256 * 1024;

/// One recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The recording's first line.
    pub header: Header,
    /// Without it the session still runs, or its frontdoor was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Ending>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each name says it")]
pub struct Ending {
    pub duration_ms: u64,
    pub chunks: u32,
    /// Of the program, if it had one.
    pub status: Option<u32>,
    #[serde(flatten)]
    pub whole: Whole,
}
