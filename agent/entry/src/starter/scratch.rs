//! A folder in memory for one start: the description, the pid file, the runtime's log and the console
//! socket. It is mounted nowhere, so it is reached by its descriptor alone and is gone with it; nothing
//! of a pod's environment comes onto the node's disk.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

/// Its size: the description is the largest part.
const SIZE: &str = "16m";
/// Bytes that are read of a file, at the most.
const MAX_FILE: u64 = 64 * 1024;

/// Such a folder.
#[derive(Debug)]
pub(crate) struct Scratch(OwnedFd);

impl Scratch {
    pub(crate) fn new() -> io::Result<Self> {
        let tmpfs = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in [("size", SIZE), ("nr_inodes", "64"), ("mode", "0700")] {
            fsconfig_set_string(&tmpfs, key, value)?;
        }
        fsconfig_create(&tmpfs)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let folder = fsmount(&tmpfs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        Ok(Self(folder))
    }

    /// A new file.
    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        Ok(openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all(bytes)
    }

    /// The beginning of a file; nothing if it is not there.
    pub(crate) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.0, name, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
            opened => opened?,
        };
        let mut bytes = Vec::new();
        File::from(file).take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Where this process finds a file of it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))
    }
}

impl AsFd for Scratch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_it_and_nowhere_above() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let scratch = Scratch::new().unwrap();
        scratch.write("a", b"secret").unwrap();
        assert_eq!(scratch.read("a").unwrap(), b"secret");
        assert_eq!(scratch.read("none").unwrap(), b"");
        assert!(scratch.write("a", b"twice").is_err());
        assert_eq!(std::fs::read(scratch.path("a")).unwrap(), b"secret");
        let above = std::fs::read_dir(scratch.path("../..")).unwrap();
        let names: Vec<_> = above.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a"], "its parent is itself");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains("nr_inodes=64"), "{mounts}");
        let Scratch(folder) = scratch;
        drop(folder);
    }
}
