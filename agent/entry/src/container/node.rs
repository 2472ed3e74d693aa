//! Files of the node and of the processes that run its containers. Links in them are followed below
//! the same root, never in the entry's own.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};

use super::json::MAX_BYTES;

/// The root folder of a process.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

impl Root {
    /// That of a process of the node.
    pub(crate) fn of(pid: i32) -> io::Result<Self> {
        Self::at(Path::new(&format!("/proc/{pid}/root")))
    }

    /// A folder that is one.
    pub(crate) fn at(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, folder, flags, Mode::empty())?))
    }

    fn open(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        Ok(openat2(
            &self.0,
            path,
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        )?)
    }

    /// A regular file; none if it is not there.
    pub(crate) fn file(&self, path: &Path) -> io::Result<Option<File>> {
        // Whatever else stands there, opening it must not wait.
        let opened = match self.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        if FileType::from_raw_mode(fstat(&opened)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(Some(File::from(opened)))
    }

    /// What is in a regular file of bounded size; none if it is not there.
    pub(crate) fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.file(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    pub(crate) fn is_program(&self, path: &Path) -> bool {
        let found = self.open(path, OFlags::PATH).and_then(|it| Ok(fstat(it)?));
        found.is_ok_and(|found| {
            FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
                && found.st_mode & 0o111 != 0
        })
    }

    /// The names in a folder, some of them; none if it is not there.
    pub(crate) fn names(&self, path: &Path, most: usize) -> Vec<String> {
        let opened = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY);
        let entries = opened.and_then(|it| Ok(Dir::read_from(it)?));
        let names = entries.into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
        names
            .filter(|name| !name.starts_with('.'))
            .take(most)
            .collect()
    }

    pub(crate) fn is_folder(&self, path: &Path) -> bool {
        self.open(path, OFlags::PATH | OFlags::DIRECTORY).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let root = Root::of(std::process::id() as i32).unwrap();
        assert!(root.read(Path::new("/etc/passwd")).unwrap().is_some());
        assert!(root.read(Path::new("/etc/none")).unwrap().is_none());
        assert!(root.read(Path::new("/dev/zero")).is_err());
        assert!(root.read(Path::new("/etc")).is_err());
        assert!(root.is_program(Path::new("/bin/sh")));
        assert!(!root.is_program(Path::new("/etc/passwd")) && !root.is_program(Path::new("/etc")));
        assert!(
            root.names(Path::new("/etc"), 9999)
                .contains(&"passwd".to_owned())
        );
        assert_eq!(root.names(Path::new("/etc"), 2).len(), 2);
        assert_eq!(root.names(Path::new("/none"), 2).len(), 0);
        assert!(root.is_folder(Path::new("/etc")) && !root.is_folder(Path::new("/bin/sh")));
    }
}
