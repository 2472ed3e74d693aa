//! The program with its environment and folder, as sshd gives them: USER, LOGNAME and SHELL of the
//! container's passwd, its HOME where the container has none of its own, and SSH_TTY.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use podgate_node_entry::launch::{Folder, Launch, Program as What};
use podgate_node_entry::report::{Failure, Ready};
use rustix::process::setsid;

use super::passwd::{self, Account};

/// For a user without a shell, where none is found in PATH.
const SHELL: &str = "/bin/sh";
/// Shells for people, from the best on.
const FOR_PEOPLE: &[&str] = &["bash", "ash", "sh"];
/// For commands.
const FOR_COMMANDS: &[&str] = &["sh"];
/// Where programs are looked for without a PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
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

/// Leads a session, by which the entry finds all that the program starts. A runtime has it do so already, and then this
/// fails; but crun before 1.20 gives a program on pipes a session of its own without its lead.
fn lead_a_session() {
    if !io::stdin().is_terminal() {
        let _ = setsid();
    }
}

/// Goes to the program's folder, makes its environment, and leads its session.
pub(crate) fn prepare(launch: Launch, worker: Option<OwnedFd>) -> (Program, Ready) {
    lead_a_session();
    let account = passwd::account(rustix::process::geteuid().as_raw());
    let shell = shell(&account, others(&launch.program));
    let (path, words) = words(launch.program, &shell, worker.as_ref());
    let mut command = Command::new(&path);
    if let Some((first, others)) = words.split_first() {
        command.arg0(first).args(others);
    }
    let mut own = |name: &str, value: &[u8]| {
        if !value.is_empty() {
            command.env(name, OsStr::from_bytes(value));
        }
    };
    own("USER", &account.name);
    own("LOGNAME", &account.name);
    own("SHELL", shell.as_bytes());
    if std::env::var_os("HOME").is_none_or(|home| home.is_empty()) {
        own("HOME", &account.home);
    }
    if io::stdin().is_terminal()
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
    let is_known = !account.name.is_empty();
    let ready = Ready {
        user: account.name,
        home: account.home.clone(),
        shell: shell.into_vec(),
        folder_is_missing: !go_to(&launch.folder, is_known, &account.home),
    };
    let program = Program {
        path,
        command,
        _worker: worker,
    };
    (program, ready)
}

/// Whether the folder is there. A home that is not is no reason to say anything.
fn go_to(folder: &Folder, is_known: bool, home: &[u8]) -> bool {
    match folder {
        Folder::Stay => true,
        // A runtime gives a user who is not in passwd a home, too: the root folder.
        Folder::Home if !is_known => true,
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
        What::Shell => (shell.to_owned(), vec![shell.to_owned()]),
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

/// The shells that may stand in for a user's own.
fn others(program: &What) -> &'static [&'static str] {
    match program {
        What::Login | What::Shell => FOR_PEOPLE,
        What::Command(_) | What::Words { .. } | What::Worker(_) => FOR_COMMANDS,
    }
}

/// The user's shell, if it is there and lets one in, or the first of others in PATH.
fn shell(account: &Account, others: &[&str]) -> OsString {
    let path = Path::new(OsStr::from_bytes(&account.shell));
    let lets_in = path
        .file_name()
        .is_some_and(|name| NO_SHELLS.iter().all(|it| name != *it));
    if lets_in && is_program(path) {
        return path.into();
    }
    let folders = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    let mut paths = others
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = paths.find(|path| path.is_absolute() && is_program(path));
    found.map_or_else(|| SHELL.into(), PathBuf::into_os_string)
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
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
            assert_eq!(shell(&account, &["none"]), expect, "{path}");
            let found = shell(&account, &["none", "sh"]);
            assert!(
                found == expect || found.as_bytes().ends_with(b"/sh"),
                "{path}"
            );
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
