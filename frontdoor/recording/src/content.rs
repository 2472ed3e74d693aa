//! What a chunk holds, as a reader meets it.

use crate::cast::{self, Header};

/// What a chunk holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Some of the recording's lines.
    Text(Vec<u8>),
    /// Their zstd, encrypted.
    Encrypted {
        /// Only in the first chunk: the recording's first line without the command.
        header: Option<Box<Header>>,
        /// An age file.
        file: Vec<u8>,
    },
}

/// The recording is encrypted, and nobody here has a key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the recording is encrypted, and Podgate has no key: who has one reads it with \
     `ssh podgate@DOOR export ID | tar -xf - --to-command='age -d -i KEYFILE' | zstd -d > session.cast`"
)]
pub struct Encrypted;

impl Content {
    /// The recording's first line, if this is its first chunk. Of an encrypted recording it lacks the command.
    pub(crate) fn header(&self) -> Option<Header> {
        match self {
            Self::Text(text) => cast::header(text).ok().map(|(header, _)| header),
            Self::Encrypted { header, .. } => header.as_deref().cloned(),
        }
    }

    /// The lines.
    pub fn text(self) -> Result<Vec<u8>, Encrypted> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Encrypted { .. } => Err(Encrypted),
        }
    }
}
