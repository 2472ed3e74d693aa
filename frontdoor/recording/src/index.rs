//! An index object: what a list shows of a recording. It is written with the first chunk, once for each later
//! day on which the session runs, and for all of these days again at the end.

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::cast::Header;
use crate::chunk::Whole;
use crate::name::{Id, Indexed};

/// The longest index object.
pub(crate) const MAX: u64 = 256 * 1024;

/// One recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The recording's first line.
    pub header: Header,
    /// Without it the session still runs, or the recording was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Ending>,
}

impl Entry {
    /// Whether more of it may come, if these frontdoors run.
    pub fn is_open(&self, running: &BTreeSet<String>) -> bool {
        self.end.is_none() && running.contains(&self.header.podgate.frontdoor)
    }

    /// The name and the bytes of its object.
    pub(crate) fn object(&self, id: Id, day: Date) -> Option<(String, Bytes)> {
        let about = &self.header.podgate;
        let name = Indexed::new(id, &about.pod, &about.user).object(day, &about.namespace);
        Some((name, serde_json::to_vec(self).ok()?.into()))
    }
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
