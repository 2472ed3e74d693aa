//! What a pattern stands for in this container, as its shell would have it.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::pattern::{self, Part};
use crate::sftp::home;

/// Paths of one pattern, at most.
const MAX_PATHS: usize = 65_536;

/// The paths that a pattern matches, sorted. One that matches nothing, or too much, stands for itself.
pub(crate) fn expand(pattern: &[u8]) -> Vec<Vec<u8>> {
    let (mut found, rest) = match of_home(pattern) {
        Some((home, rest)) => (home, rest),
        None => (Vec::new(), pattern),
    };
    let parts = pattern::parts(rest);
    let literals: Option<Vec<_>> = parts.iter().map(Part::literal).collect();
    if let Some(literals) = literals {
        found.extend(literals.join(&b'/'));
        return vec![found];
    }
    match matching(found, &parts) {
        Some(paths) if !paths.is_empty() => paths,
        _ => vec![plain(pattern)],
    }
}

/// The home that a pattern begins with, and what follows it.
fn of_home(pattern: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let rest = pattern.strip_prefix(b"~")?;
    let end = rest.iter().position(|byte| *byte == b'/');
    let (user, rest) = rest.split_at(end.unwrap_or(rest.len()));
    if user.contains(&b'\\') {
        return None;
    }
    let own = std::env::var_os("HOME").filter(|_| user.is_empty());
    let home = own.map(OsStringExt::into_vec).or_else(|| home(user))?;
    Some((home, rest))
}

/// All paths that begin with `start` and go on as the parts say. `None` if they are too many.
fn matching(start: Vec<u8>, parts: &[Part]) -> Option<Vec<Vec<u8>>> {
    let mut paths = vec![start];
    for (index, part) in parts.iter().enumerate() {
        let join = |path: &[u8], name: &[u8]| match index {
            0 => [path, name].concat(),
            _ => [path, b"/", name].concat(),
        };
        let mut next = Vec::new();
        for path in &paths {
            let names = match part.literal() {
                Some(name) => vec![name],
                None => names(&join(path, b""), part),
            };
            next.extend(names.iter().map(|name| join(path, name)));
            if next.len() > MAX_PATHS {
                return None;
            }
        }
        paths = next;
    }
    paths.retain(|path| {
        Path::new(OsStr::from_bytes(path))
            .symlink_metadata()
            .is_ok()
    });
    paths.sort();
    Some(paths)
}

/// The names in a folder that a part matches.
fn names(folder: &[u8], part: &Part) -> Vec<Vec<u8>> {
    let folder = match folder {
        [] => Path::new("."),
        folder => Path::new(OsStr::from_bytes(folder)),
    };
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().into_vec());
    let matching = names.filter(|name| part.matches(name));
    // One more shows that they are too many.
    matching.take(MAX_PATHS + 1).collect()
}

/// The pattern as a path.
fn plain(pattern: &[u8]) -> Vec<u8> {
    let mut bytes = pattern.iter().copied();
    let mut path = Vec::new();
    while let Some(byte) = bytes.next() {
        path.push(match byte {
            b'\\' => bytes.next().unwrap_or(byte),
            byte => byte,
        });
    }
    path
}
