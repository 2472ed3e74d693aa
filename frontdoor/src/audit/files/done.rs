//! What was done with one file.

use std::time::Instant;

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
