//! What was done with one file.

use std::time::Instant;

use sha2::{Digest as _, Sha256};

/// Bytes of a path that are kept.
const MAX_PATH: usize = 1024;

/// What was done with one file.
#[derive(Debug)]
pub(in crate::audit) struct FileDone {
    pub(in crate::audit) path: String,
    pub(in crate::audit) direction: Direction,
    pub(in crate::audit) bytes: u64,
    pub(in crate::audit) begun: Instant,
    pub(in crate::audit) outcome: &'static str,
    pub(in crate::audit) hash: FileHash,
}

/// What was to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::audit) enum Direction {
    Read,
    Write,
    Both,
    Remove,
    Rename,
}

impl Direction {
    /// Its word in the log.
    pub(in crate::audit) fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Both => "read and write",
            Self::Remove => "remove",
            Self::Rename => "rename",
        }
    }
}

/// The SHA-256 of a file's bytes, as long as they pass from its beginning on without a gap.
#[derive(Clone, Debug, Default)]
pub(in crate::audit) struct FileHash(Option<(Sha256, u64)>);

impl FileHash {
    /// None is made unless it is wanted.
    pub(in crate::audit) fn new(wanted: bool) -> Self {
        Self(wanted.then(|| (Sha256::new(), 0)))
    }

    /// Bytes at this offset of the file.
    pub(in crate::audit) fn add(&mut self, offset: u64, bytes: &[u8]) {
        match &mut self.0 {
            Some((hasher, next)) if *next == offset => {
                hasher.update(bytes);
                *next = next.saturating_add(bytes.len() as u64);
            }
            _ => self.0 = None,
        }
    }

    /// In hex digits, of so many bytes.
    pub(in crate::audit) fn hex(&self, bytes: u64) -> Option<String> {
        let (hasher, next) = self.0.as_ref()?;
        let digest = (*next == bytes).then(|| hasher.clone().finalize())?;
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// A path as the log has it. One that is not UTF-8 is escaped as in Rust's literals.
pub(super) fn shown(path: &[u8]) -> String {
    let kept = path.get(..MAX_PATH).unwrap_or(path);
    let shown = match str::from_utf8(path) {
        Ok(text) => text
            .get(..text.floor_char_boundary(MAX_PATH))
            .unwrap_or_default()
            .to_owned(),
        Err(_) => kept.escape_ascii().to_string(),
    };
    match kept.len() < path.len() {
        true => shown + "…",
        false => shown,
    }
}
