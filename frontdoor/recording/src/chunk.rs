//! A chunk: one object of a recording. Its first line is JSON that anybody can read; the rest is zstd of
//! some of the recording's lines. Each chunk has the SHA-256 of the one before it, and the last that of
//! the whole text, so that a missing, changed or reordered chunk is seen.

use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::digest::{Running, sha256};

/// Bytes of text in a chunk, at which one is sealed.
pub(crate) const FULL: usize = 1024 * 1024;
/// The longest text of a chunk. One event of the longest message may follow a text just below `FULL`,
/// and its bytes may grow sixfold as JSON.
const MAX_TEXT: u64 = 4 * 1024 * 1024;
/// The longest object.
pub(crate) const MAX_OBJECT: u64 = MAX_TEXT + 64 * 1024;
const VERSION: u8 = 1;
/// zstd's own default.
const LEVEL: i32 = 3;

/// A chunk cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("it has no first line of a chunk: {0}")]
    Head(serde_json::Error),
    #[error("it is of version {0}")]
    Version(u8),
    #[error("its content cannot be compressed or read: {0}")]
    Content(#[from] std::io::Error),
    #[error("its content is longer than a chunk's")]
    Long,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    podgate: u8,
    pub(crate) recording: String,
    /// From 0.
    pub(crate) number: u32,
    /// The SHA-256 of the object before; none in the first.
    pub(crate) previous: Option<String>,
    /// The time of its last event in milliseconds since the session's start.
    pub(crate) until_ms: u64,
    /// Only in the last chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) whole: Option<Whole>,
}

/// All of a recording's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each name says it")]
pub struct Whole {
    pub sha256: String,
    pub bytes: u64,
}

/// Seals one recording's chunks.
pub(crate) struct Chain {
    recording: String,
    number: u32,
    previous: Option<String>,
    text: Running,
    bytes: u64,
}

impl Chain {
    pub(crate) fn new(recording: String) -> Self {
        Self {
            recording,
            number: 0,
            previous: None,
            text: Running::new(),
            bytes: 0,
        }
    }

    /// The number of chunks until now.
    pub(crate) fn chunks(&self) -> u32 {
        self.number
    }

    /// All text that was sealed.
    pub(crate) fn whole(&self) -> Whole {
        Whole {
            sha256: self.text.hex(),
            bytes: self.bytes,
        }
    }

    /// Makes the next chunk of this text, or the last one.
    pub(crate) fn seal(
        &mut self,
        text: &[u8],
        until: Duration,
        last: bool,
    ) -> Result<Bytes, Error> {
        self.text.add(text);
        self.bytes += text.len() as u64;
        let head = Head {
            podgate: VERSION,
            recording: self.recording.clone(),
            number: self.number,
            previous: self.previous.clone(),
            until_ms: u64::try_from(until.as_millis()).unwrap_or(u64::MAX),
            whole: last.then(|| self.whole()),
        };
        let mut object = serde_json::to_vec(&head).map_err(Error::Head)?;
        object.push(b'\n');
        object.extend(zstd::bulk::compress(text, LEVEL)?);
        self.number += 1;
        self.previous = Some(sha256(&object));
        Ok(object.into())
    }
}

/// Reads a chunk's first line and its text.
pub(crate) fn open(object: &[u8]) -> Result<(Head, Vec<u8>), Error> {
    let end = object
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(object.len());
    let (line, rest) = object.split_at(end);
    let head: Head = serde_json::from_slice(line).map_err(Error::Head)?;
    if head.podgate != VERSION {
        return Err(Error::Version(head.podgate));
    }
    let mut text = Vec::new();
    let read = zstd::stream::read::Decoder::new(rest.get(1..).unwrap_or_default())?;
    let length = read.take(MAX_TEXT + 1).read_to_end(&mut text)?;
    match length as u64 > MAX_TEXT {
        true => Err(Error::Long),
        false => Ok((head, text)),
    }
}
