//! The program with its environment and folder, as sshd gives them: USER, LOGNAME, HOME and SHELL of the
//! container's passwd where the container has none of its own, and SSH_TTY.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::IsTerminal;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use podgate_node_entry::launch::{Folder, Launch, Program as What};
use podgate_node_entry::report::{Failure, Ready};

use super::passwd::{self, Account};

/// For a user without a shell.
const SHELL: &str = "/bin/sh";
/// The worker's name for itself.
const WORKER: &str = "podgate-worker";
/// Shells that let nobody in.
const NO_SHELLS: &[&str] = &["nologin", "false"];

/// What takes the launcher's place.
#[derive(Debug)]
pub(crate) struct Program {
    path: OsString,
    command: Command,
    /// Open until it runs.
    _worker: Option<OwnedFd>,
}

/// Goes to the program's folder and makes its environment.
pub(crate) fn prepare(launch: Launch, worker: Option<OwnedFd>) -> (Program, Ready) {
    let account = passwd::account(rustix::process::geteuid().as_raw());
    let shell = shell(&account);
    let (path, words) = words(launch.program, &shell, worker.as_ref());
    let mut command = Command::new(&path);
    if let Some((first, others)) = words.split_first() {
        command.arg0(first).args(others);
    }
    let mut own = |name: &str, value: &[u8]| {
        if !value.is_empty() && std::env::var_os(name).is_none() {
            command.env(name, OsStr::from_bytes(value));
        }
    };
    own("USER", &account.name);
    own("LOGNAME", &account.name);
    own("HOME", &account.home);
    own("SHELL", shell.as_bytes());
    if std::io::stdin().is_terminal()
        && let Ok(terminal) = fs::read_link("/proc/self/fd/0")
    {
        command.env("SSH_TTY", terminal);
    }
    for pair in &launch.environment {
        let mut parts = pair.splitn(2, |&byte| byte == b'=');
        if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
    }
    let ready = Ready {
        user: account.name,
        home: account.home.clone(),
        shell: shell.into_vec(),
        folder_is_missing: !go_to(&launch.folder, &account.home),
    };
    let program = Program {
        path,
        command,
        _worker: worker,
    };
    (program, ready)
}

/// Whether the folder is there. A home that is not is no reason to say anything.
fn go_to(folder: &Folder, home: &[u8]) -> bool {
    match folder {
        Folder::Stay => true,
        Folder::Home => {
            let home =
                std::env::var_os("HOME").unwrap_or_else(|| OsString::from_vec(home.to_vec()));
            let _ = std::env::set_current_dir(home);
            true
        }
        Folder::Path(path) => std::env::set_current_dir(OsStr::from_bytes(path)).is_ok(),
    }
}

/// The path of the program and its arguments, its name first.
fn words(program: What, shell: &OsStr, worker: Option<&OwnedFd>) -> (OsString, Vec<OsString>) {
    let name = shell
        .as_bytes()
        .rsplit(|&byte| byte == b'/')
        .next()
        .unwrap_or_default();
    match program {
        What::Login => {
            let name = OsString::from_vec([b"-", name].concat());
            (shell.to_owned(), vec![name])
        }
        What::Command(command) => {
            let name = OsStr::from_bytes(name).to_owned();
            let words = vec![name, "-c".into(), OsString::from_vec(command)];
            (shell.to_owned(), words)
        }
        What::Worker(arguments) => {
            let path = worker.map(|worker| format!("/proc/self/fd/{}", worker.as_raw_fd()));
            let arguments = arguments.into_iter().map(OsString::from_vec);
            let words = [WORKER.into()].into_iter().chain(arguments).collect();
            // Without one it is not found.
            (path.unwrap_or_else(|| WORKER.to_owned()).into(), words)
        }
        What::Words { path, arguments } => {
            let arguments = arguments.into_iter().map(OsString::from_vec);
            (OsString::from_vec(path), arguments.collect())
        }
    }
}

/// The user's shell, if it is there and lets one in.
fn shell(account: &Account) -> OsString {
    let path = Path::new(OsStr::from_bytes(&account.shell));
    let lets_in = path
        .file_name()
        .is_some_and(|name| NO_SHELLS.iter().all(|it| name != *it));
    let is_program = fs::metadata(path)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    if lets_in && is_program {
        path.into()
    } else {
        SHELL.into()
    }
}

impl Program {
    /// Comes back only if it cannot.
    pub(crate) fn execute(mut self) -> Failure {
        let error = self.command.exec();
        let program = self.path.to_string_lossy().into_owned();
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Failure::NotFound(program),
            Some(libc::EACCES | libc::ENOEXEC | libc::EISDIR | libc::EPERM) => {
                Failure::NotExecutable(program)
            }
            Some(libc::E2BIG) => Failure::TooLong,
            errno => Failure::Other {
                program,
                errno: errno.unwrap_or_default(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_shell_counts_if_it_lets_one_in() {
        let check = |path: &str, expect: &str| {
            let account = Account {
                shell: path.into(),
                ..Account::default()
            };
            assert_eq!(shell(&account), expect, "{path}");
        };
        check("/bin/cat", "/bin/cat");
        for path in [
            "",
            "/bin/false",
            "/usr/sbin/nologin",
            "/none",
            "/etc/passwd",
            "/etc",
        ] {
            check(path, SHELL);
        }
    }

    #[test]
    fn a_login_shell_is_told_so_by_its_name() {
        let words = |what| words(what, OsStr::new("/bin/bash"), None);
        let path = OsString::from("/bin/bash");
        assert_eq!(words(What::Login), (path.clone(), vec!["-bash".into()]));
        let command = What::Command(b"echo \xff".to_vec());
        let text = OsString::from_vec(b"echo \xff".to_vec());
        assert_eq!(
            words(command),
            (path, vec!["bash".into(), "-c".into(), text])
        );
    }
}
