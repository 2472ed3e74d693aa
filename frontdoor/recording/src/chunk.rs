//! A chunk: one object of a recording. Its first line is JSON that anybody can read; the rest is zstd of
//! some of the recording's lines, or an age file of that zstd. Each chunk has the SHA-256 of the one before it, and the last that of
//! the whole text, so that a missing, changed or reordered chunk is seen.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::age::{Recipient, seal};
use crate::cast::Header;
use crate::content::Content;
use crate::digest::{Running, sha256};

/// Bytes of text in a chunk, at which one is sealed.
pub(crate) const FULL: usize = 1024 * 1024;
/// The longest text of a chunk. One event of the longest message may follow a text just below `FULL`,
/// and its bytes may grow sixfold as JSON.
const MAX_TEXT: u64 = 4 * 1024 * 1024;
/// The longest object. An encrypted one may have the groups of a user twice.
pub(crate) const MAX_OBJECT: u64 = MAX_TEXT + 512 * 1024;
const VERSION: u8 = 1;
/// The version of a chunk whose content is encrypted. A reader that knows only the first refuses it.
const ENCRYPTED: u8 = 2;
/// zstd's quickest level that is not negative: the frontdoor's core is dearer than the store's bytes.
const LEVEL: i32 = 1;

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
    #[error("it cannot be encrypted")]
    Encryption(#[from] Unspecified),
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Only in the first chunk of an encrypted recording, so that it is found: its first line without the
    /// command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<Box<Header>>,
    /// Only in the last chunk of an encrypted recording: the program's, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u32>,
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
    encryption: Option<Encryption>,
}

/// For whom a recording is encrypted, and what it tells everybody.
struct Encryption {
    recipients: Arc<[Recipient]>,
    /// Until the first chunk.
    header: Option<Box<Header>>,
    status: Option<u32>,
}

impl Chain {
    pub(crate) fn new(recording: String) -> Self {
        Self {
            recording,
            number: 0,
            previous: None,
            text: Running::new(),
            bytes: 0,
            encryption: None,
        }
    }

    /// Encrypts for these. Who cannot read it is told this header.
    pub(crate) fn encrypted(mut self, recipients: Arc<[Recipient]>, header: Header) -> Self {
        self.encryption = Some(Encryption {
            recipients,
            header: Some(Box::new(header)),
            status: None,
        });
        self
    }

    /// Notes the program's exit status, for the last chunk.
    pub(crate) fn exits(&mut self, status: Option<u32>) {
        if let Some(encryption) = &mut self.encryption {
            encryption.status = status;
        }
    }

    /// The SHA-256 of the last object.
    pub(crate) fn last(&self) -> Option<&str> {
        self.previous.as_deref()
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
        let mut content = zstd::bulk::compress(text, LEVEL)?;
        let (mut version, mut header, mut status) = (VERSION, None, None);
        if let Some(encryption) = &mut self.encryption {
            content = seal(&encryption.recipients, &content)?;
            version = ENCRYPTED;
            header = encryption.header.take();
            status = encryption.status.filter(|_| last);
        }
        let head = Head {
            podgate: version,
            recording: self.recording.clone(),
            number: self.number,
            previous: self.previous.clone(),
            until_ms: u64::try_from(until.as_millis()).unwrap_or(u64::MAX),
            whole: last.then(|| self.whole()),
            header,
            status,
        };
        let mut object = serde_json::to_vec(&head).map_err(Error::Head)?;
        object.push(b'\n');
        object.extend(content);
        self.number += 1;
        self.previous = Some(sha256(&object));
        Ok(object.into())
    }
}

/// Reads a chunk's first line and what it holds.
pub(crate) fn open(object: &[u8]) -> Result<(Head, Content), Error> {
    let (line, rest) = divided(object);
    let mut head: Head = serde_json::from_slice(line).map_err(Error::Head)?;
    match head.podgate {
        VERSION => {}
        ENCRYPTED => {
            let (header, file) = (head.header.take(), rest.to_vec());
            return Ok((head, Content::Encrypted { header, file }));
        }
        other => return Err(Error::Version(other)),
    }
    let mut text = Vec::new();
    let read = zstd::stream::read::Decoder::new(rest)?;
    let length = read.take(MAX_TEXT + 1).read_to_end(&mut text)?;
    match length as u64 > MAX_TEXT {
        true => Err(Error::Long),
        false => Ok((head, Content::Text(text))),
    }
}

/// Whether only the holders of some keys can read it. False if it is no chunk at all.
pub(crate) fn is_encrypted(object: &[u8]) -> bool {
    let head = serde_json::from_slice::<Head>(divided(object).0);
    head.is_ok_and(|head| head.podgate == ENCRYPTED)
}

/// The first line, and the rest.
fn divided(object: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = object.splitn(2, |byte| *byte == b'\n');
    let line = parts.next().unwrap_or_default();
    (line, parts.next().unwrap_or_default())
}
