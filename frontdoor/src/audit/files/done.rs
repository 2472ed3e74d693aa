//! What was done with one file.

use std::time::Instant;

use sha2::{Digest as _, Sha256};

/// The outcome of a file of which no more is known, since its client has more at a time than is watched,
/// or does not keep to its protocol.
pub(super) const UNSEEN: &str = "unseen";
/// Bytes of a path that are kept: half of them of its beginning, and half of its end.
const MAX_PATH: usize = 512;

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
    let is_cut = path.len() > MAX_PATH;
    match str::from_utf8(path) {
        Ok(text) if is_cut => {
            let begin = text.get(..text.floor_char_boundary(MAX_PATH / 2));
            let end = text.get(text.ceil_char_boundary(text.len() - MAX_PATH / 2)..);
            format!("{}…{}", begin.unwrap_or_default(), end.unwrap_or_default())
        }
        Ok(text) => text.to_owned(),
        Err(_) if is_cut => {
            let begin = path.get(..MAX_PATH / 2).unwrap_or_default();
            let end = path.get(path.len() - MAX_PATH / 2..).unwrap_or_default();
            format!("{}…{}", begin.escape_ascii(), end.escape_ascii())
        }
        Err(_) => path.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_path_is_shown() {
        assert_eq!(shown("/ü".as_bytes()), "/ü");
        assert_eq!(shown(b"/\xff"), r"/\xff");
        for fill in [&b"/."[..], b"\xff\xff"] {
            let long = [&fill.repeat(400)[..], b"/etc/shadow"].concat();
            let shown = shown(&long);
            assert!(shown.ends_with("/etc/shadow") && shown.contains('…'));
            assert!(shown.len() <= 4 * MAX_PATH + 3);
        }
    }
}
