//! The worker alone, on this machine's own files, with OpenSSH's sftp and scp as its clients: what it
//! serves, and what it may still do.

mod scp;
mod sftp;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use podgate_tests::fixtures::gateway::binary;
use tempfile::TempDir;

/// A folder with a program that starts the worker as a client starts its server.
struct Worker {
    dir: TempDir,
}

impl Worker {
    /// `start` is a script's line that begins the worker; it finds the program in `$WORKER`.
    fn new(start: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = binary("podgate-worker").unwrap();
        let script = format!("#!/bin/sh\nWORKER={}\n{start}\n", program.display());
        let path = dir.path().join("server");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::create_dir(dir.path().join("work")).unwrap();
        Self { dir }
    }

    /// The folder that clients and the worker have for their own.
    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn server(&self) -> PathBuf {
        self.dir.path().join("server")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.work()).stdin(Stdio::null());
        command
    }
}

fn words(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", words(&output.stderr));
    words(&output.stdout)
}

fn fails(output: &Output) -> String {
    assert!(!output.status.success(), "{}", words(&output.stdout));
    words(&output.stderr)
}

/// A filesystem of 1 MiB there, until it is dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Self {
        std::fs::create_dir(at).unwrap();
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=1m", "podgate"]);
        assert!(mount.arg(at).status().unwrap().success(), "not root?");
        Self(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Makes what is sent one way and must come back the other.
fn tree(dir: &Path) {
    use std::os::unix::ffi::OsStrExt;
    std::fs::create_dir_all(dir.join("sub/empty folder")).unwrap();
    std::fs::write(dir.join("empty"), "").unwrap();
    let long: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(dir.join("sub/it's \"long\""), long).unwrap();
    let bytes = std::ffi::OsStr::from_bytes(b"no \xff\xfe UTF-8");
    std::fs::write(dir.join(bytes), "bytes").unwrap();
    let only = dir.join("only its owner's");
    std::fs::write(&only, "x").unwrap();
    std::fs::set_permissions(&only, PermissionsExt::from_mode(0o600)).unwrap();
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(981_173_106);
    let file = std::fs::File::options().write(true).open(&only).unwrap();
    file.set_modified(then).unwrap();
}

/// Whether two folders hold the same, and their files have the same modes and times.
fn same(one: &Path, other: &Path) {
    let diff = Command::new("diff").arg("-r").args([one, other]).output();
    succeeds(&diff.unwrap());
    let list = |dir: &Path| {
        let find = ["find", ".", "-type", "f", "-printf", "%p %m %Ts\n"];
        let listed = Command::new(find[0])
            .args(&find[1..])
            .current_dir(dir)
            .output();
        let mut lines: Vec<String> = succeeds(&listed.unwrap()).lines().map(Into::into).collect();
        lines.sort();
        lines
    };
    assert_eq!(list(one), list(other));
}
