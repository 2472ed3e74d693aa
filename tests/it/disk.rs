//! Small disks of their own for what parts write, which can be full.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// More than all audit lines of a run.
const AUDIT: &str = "size=64m,mode=700";
/// More than all entries of a journal at a time.
const JOURNAL: &str = "size=8m,mode=700";
const CHUNK: usize = 4096;

/// A tmpfs; gone on drop. Needs root.
pub(crate) struct Disk {
    path: PathBuf,
    /// Removed after the disk.
    _folder: Option<TempDir>,
}

impl Disk {
    /// For audit logs.
    pub(crate) fn for_audit() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Self::mount(folder.path(), AUDIT);
        disk._folder = Some(folder);
        disk
    }

    /// For the journal in this folder.
    pub(crate) fn for_journal(folder: &Path) -> Self {
        Self::mount(folder, JOURNAL)
    }

    fn mount(path: &Path, options: &str) -> Self {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "none"])
            .arg(path)
            .status();
        assert!(mount.unwrap().success());
        Self {
            path: path.to_owned(),
            _folder: None,
        }
    }

    /// The lines of a configuration that send a part's audit log here.
    pub(crate) fn audit(&self, part: &str) -> String {
        let path = self.path.join(part);
        format!("audit: {{to: '{}'}}\n", path.display())
    }

    fn filler(&self) -> PathBuf {
        self.path.join(".filler")
    }

    /// Takes all room.
    pub(crate) fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).unwrap();
        while filler.write_all(&[0; CHUNK]).is_ok() {}
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        // It may not be full.
        let _ = fs::remove_file(self.filler());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).output();
    }
}
