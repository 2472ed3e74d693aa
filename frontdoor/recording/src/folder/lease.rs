//! A frontdoor's own folder in the spool's folder. It holds the lock in there for as long as it runs;
//! afterwards any other frontdoor may take the lock, and send what the first has left.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";
/// Begins the name of a folder whose lock is not held yet.
const NEW: &str = ".new-";

/// A folder, and its lock.
#[derive(Debug)]
pub(super) struct Lease {
    path: PathBuf,
    _lock: File,
}

impl Lease {
    /// Makes a folder. Nobody sees it before its lock is held.
    pub(super) fn make(root: &Path) -> io::Result<Self> {
        let name = format!("{:016x}", fastrand::u64(..));
        let new = root.join(format!("{NEW}{name}"));
        DirBuilder::new().mode(0o700).create(&new)?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let lock = options.open(new.join(LOCK))?;
        lock.lock()?;
        let path = root.join(name);
        fs::rename(new, &path)?;
        Ok(Self { path, _lock: lock })
    }

    /// The folders that may be taken.
    pub(super) fn all(root: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(root)?.collect::<Result<Vec<_>, _>>()?;
        let made = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().starts_with(NEW);
        let made = entries.iter().filter(|entry| made(entry));
        Ok(made.map(fs::DirEntry::path).collect())
    }

    /// Takes a folder, if its frontdoor is gone.
    pub(super) fn take(path: &Path) -> io::Result<Option<Self>> {
        let lock = match OpenOptions::new().write(true).open(path.join(LOCK)) {
            Ok(lock) => lock,
            // Another frontdoor may have removed it meanwhile, and not all here is ours.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self {
                path: path.to_owned(),
                _lock: lock,
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder, unless files are in it. Whether it is gone.
    pub(super) fn remove(&self) -> io::Result<bool> {
        let others = |entry: &fs::DirEntry| entry.file_name() != LOCK;
        if fs::read_dir(&self.path)?.flatten().any(|it| others(&it)) {
            return Ok(false);
        }
        fs::remove_file(self.path.join(LOCK))?;
        fs::remove_dir(&self.path)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_only_when_its_frontdoor_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        let take = || {
            let all = Lease::all(dir.path()).unwrap().into_iter();
            let mut taken = all.filter_map(|path| Lease::take(&path).unwrap());
            taken.next()
        };
        let first = Lease::make(dir.path()).unwrap();
        assert!(take().is_none());
        fs::write(first.path().join("file"), "").unwrap();
        let path = first.path().to_owned();
        drop(first);
        let taken = take().unwrap();
        assert_eq!(taken.path(), path);
        assert!(take().is_none(), "it has another one");
        taken.remove().unwrap();
        assert!(path.exists(), "a file is in it");
        fs::remove_file(path.join("file")).unwrap();
        taken.remove().unwrap();
        assert!(!path.exists());
    }
}
