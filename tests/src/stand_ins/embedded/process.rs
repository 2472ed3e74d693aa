//! Starts a command as runc would: looked up in the container's `PATH`, a session of its own, on
//! a new terminal or on pipes.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Result;
use pty_process::{OwnedReadPty, OwnedWritePty};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

use super::processes::{MARKER, RunningExec};
use super::shared::{EmbeddedContainer, Exec, Inner};

/// The `PATH` of a container that has none of its own.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The near ends of a command's input and output.
pub(super) enum Io {
    Pipes {
        stdin: Option<ChildStdin>,
        stdout: Option<ChildStdout>,
        stderr: Option<ChildStderr>,
    },
    /// `size` is the same terminal, to set its size while it is written to.
    Terminal {
        read: OwnedReadPty,
        write: OwnedWritePty,
        size: OwnedFd,
    },
}

/// Why a command did not start, in runc's words: `exec: "x": …`.
pub(super) struct NotStarted(pub(super) String);

impl Inner {
    pub(super) fn start(&self, id: &str, exec: &Exec) -> Result<(Child, Io), NotStarted> {
        let container = self
            .settings()
            .containers
            .get(id)
            .cloned()
            .unwrap_or_default();
        let environment = Environment::new(self.home.path(), container, exec.tty);
        let Some((program, arguments)) = exec.argv.split_first() else {
            return Err(NotStarted("process args cannot be empty".to_owned()));
        };
        environment
            .check(program)
            .map_err(|why| NotStarted(format!("exec: {program:?}: {why}")))?;
        let start = || match exec.tty {
            true => environment.on_terminal(program, arguments),
            false => environment.on_pipes(exec),
        };
        let note = |pid| RunningExec {
            pid,
            container: id.to_owned(),
            argv: exec.argv.clone(),
            tty: exec.tty,
        };
        self.processes
            .start(start, note)
            .map_err(|error| NotStarted(format!("{error:#}")))
    }
}

struct Environment {
    dir: PathBuf,
    path: String,
    env: Vec<(String, String)>,
}

impl Environment {
    fn new(home: &Path, container: EmbeddedContainer, tty: bool) -> Self {
        let path = container.path.unwrap_or_else(|| PATH.to_owned());
        let own = home.to_string_lossy().into_owned();
        let mut env = vec![
            ("PATH".to_owned(), path.clone()),
            ("HOME".to_owned(), own.clone()),
        ];
        if tty {
            env.push(("TERM".to_owned(), "xterm".to_owned()));
        }
        env.extend(container.env);
        env.push((MARKER.to_owned(), own));
        Self {
            dir: container.dir.unwrap_or_else(|| home.to_owned()),
            path,
            env,
        }
    }

    /// The look-up of Go's `exec.LookPath`, for its errors.
    fn check(&self, program: &str) -> Result<(), String> {
        let executable = |path: &Path| -> Result<(), String> {
            match std::fs::metadata(path) {
                Err(_) => Err(format!("stat {program}: no such file or directory")),
                Ok(meta) if meta.is_dir() => Err("is a directory".to_owned()),
                Ok(meta) if meta.permissions().mode() & 0o111 == 0 => {
                    Err("permission denied".to_owned())
                }
                Ok(_) => Ok(()),
            }
        };
        if program.contains('/') {
            return executable(&self.dir.join(program));
        }
        let mut folders = self.path.split(':').map(|folder| self.dir.join(folder));
        match folders.any(|folder| executable(&folder.join(program)).is_ok()) {
            true => Ok(()),
            false => Err("executable file not found in $PATH".to_owned()),
        }
    }

    /// By `setsid` of util-linux, which keeps the process id when it is no group leader: the
    /// standard library cannot make a session, and `pre_exec` is unsafe.
    fn on_pipes(&self, exec: &Exec) -> Result<(Child, Io)> {
        let piped = |wanted: bool| {
            if wanted {
                Stdio::piped()
            } else {
                Stdio::null()
            }
        };
        let mut child = tokio::process::Command::new("/usr/bin/setsid")
            .arg("--")
            .args(&exec.argv)
            .env_clear()
            .envs(self.env.iter().cloned())
            .current_dir(&self.dir)
            .stdin(piped(exec.stdin))
            .stdout(piped(exec.stdout))
            .stderr(piped(exec.stderr))
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stderr = child.stderr.take();
        Ok((
            child,
            Io::Pipes {
                stdin,
                stdout,
                stderr,
            },
        ))
    }

    fn on_terminal(&self, program: &str, arguments: &[String]) -> Result<(Child, Io)> {
        let (pty, pts) = pty_process::open()?;
        let size = pty.as_fd().try_clone_to_owned()?;
        let child = pty_process::Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(self.env.iter().cloned())
            .current_dir(&self.dir)
            .spawn(pts)?;
        let (read, write) = pty.into_split();
        Ok((child, Io::Terminal { read, write, size }))
    }
}
