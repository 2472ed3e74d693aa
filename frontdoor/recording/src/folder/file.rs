//! A file of the spool's folder: its first line is the object's name in the store, and the rest is the
//! object. Its own name has its number and its lane. All calls here block.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::object::Object;

/// A whole file: its number, its lane and its length.
pub(super) type Listed = (u64, u64, u64);

/// The file that tests a folder. It is never whole.
const TEST: &str = "test.part";
/// Ends the name of a file that is not whole.
const PART: &str = "part";
/// Ends the name of a file that holds no object.
const BAD: &str = "bad";

fn path(folder: &Path, number: u64, lane: u64) -> PathBuf {
    folder.join(format!("{number:016x}-{lane:016x}"))
}

/// Writes an object. After a crash the file is whole or not there.
pub(super) fn write(folder: &Path, number: u64, object: &Object) -> io::Result<()> {
    let path = path(folder, number, object.lane);
    let part = path.with_extension(PART);
    let written = write_to(&part, object).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // It may be that there was no room for all of it.
        let _ = fs::remove_file(part);
    }
    written
}

/// Tests whether a folder takes a file.
pub(super) fn test(folder: &Path) -> io::Result<()> {
    let path = folder.join(TEST);
    fs::write(&path, b"podgate\n")?;
    fs::remove_file(path)
}

fn write_to(part: &Path, object: &Object) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(part)?;
    file.write_all(object.name.as_bytes())?;
    file.write_all(b"\n")?;
    file.write_all(&object.bytes)?;
    file.sync_data()
}

/// Reads an object; `None` if the file holds none, and then it is put aside.
pub(super) fn read(folder: &Path, number: u64, lane: u64) -> io::Result<Option<Object>> {
    let path = path(folder, number, lane);
    let bytes = Bytes::from(fs::read(&path)?);
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let name = end.and_then(|end| String::from_utf8(bytes.get(..end)?.to_vec()).ok());
    let (Some(name), Some(end)) = (name, end) else {
        fs::rename(&path, path.with_extension(BAD))?;
        return Ok(None);
    };
    Ok(Some(Object {
        name,
        lane,
        strict: true,
        bytes: bytes.slice(end + 1..),
    }))
}

pub(super) fn remove(folder: &Path, number: u64, lane: u64) -> io::Result<()> {
    fs::remove_file(path(folder, number, lane))
}

/// The whole files in their order. What was never whole is removed.
pub(super) fn list(folder: &Path) -> io::Result<Vec<Listed>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let path = Path::new(&name);
        if path.extension().is_some_and(|it| it == PART) {
            fs::remove_file(entry.path())?;
            continue;
        }
        let parts = name.to_str().and_then(|name| name.split_once('-'));
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        if let Some((number, lane)) = parts.and_then(|(n, l)| hex(n).zip(hex(l))) {
            files.push((number, lane, entry.metadata()?.len()));
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_not_whole_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        let object = |lane| Object {
            name: "recordings/x/00000000".to_owned(),
            lane,
            strict: true,
            bytes: Bytes::from_static(b"a\nb"),
        };
        write(folder, 2, &object(u64::MAX)).unwrap();
        write(folder, 1, &object(7)).unwrap();
        fs::write(folder.join("0000000000000003-0000000000000007.part"), "x").unwrap();
        fs::write(folder.join("0000000000000004-0000000000000007"), "").unwrap();
        fs::write(folder.join("lock"), "").unwrap();
        let files = list(folder).unwrap();
        assert_eq!(files, [(1, 7, 25), (2, u64::MAX, 25), (4, 7, 0)]);
        assert_eq!(read(folder, 1, 7).unwrap(), Some(object(7)));
        assert_eq!(read(folder, 4, 7).unwrap(), None);
        remove(folder, 1, 7).unwrap();
        assert_eq!(list(folder).unwrap().len(), 1);
        let mut left: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "0000000000000002-ffffffffffffffff",
                "0000000000000004-0000000000000007.bad",
                "lock"
            ]
        );
    }
}
