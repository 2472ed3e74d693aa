//! A small disk of its own for the audit logs, which can be full.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// More than all audit lines of a run.
const SIZE: &str = "size=64m,mode=700";
const CHUNK: usize = 1024 * 1024;

/// A tmpfs; gone on drop. Needs root.
pub(super) struct Disk(TempDir);

impl Disk {
    pub(super) fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "none"])
            .arg(folder.path())
            .status();
        assert!(mount.unwrap().success());
        Self(folder)
    }

    /// The lines of a configuration that send a part's audit log here.
    pub(super) fn audit(&self, part: &str) -> String {
        let path = self.0.path().join(part);
        format!("audit: {{to: '{}'}}\n", path.display())
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Takes all room.
    pub(super) fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).unwrap();
        while filler.write_all(&[0; CHUNK]).is_ok() {}
    }

    /// Gives it back.
    pub(super) fn free(&self) {
        // It may not be full.
        let _ = fs::remove_file(self.filler());
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}
