//! The small shell script that stands in front of a user's program. It sets what an exec cannot set
//! (environment, terminal size and modes), says that it runs, and gets out of the way. A user must see
//! no difference from sshd.

use podgate_proto::v1::{Exec, Terminal, exec::Program};

use super::{leave, stty};
use crate::exec::Ending;

/// The most bytes of one argument of a program: MAX_ARG_STRLEN of Linux (32 pages), less the NUL that
/// ends it.
pub(crate) const MAX_ARGUMENT: usize = 128 * 1024 - 1;

// The scripts' own variables begin with __, so that they do not touch the image's.

/// Sets the terminal up (`$1` size, `$2` modes) if the image has a stty. `set -f` keeps a mode like `^?`
/// from being expanded to a file name.
const TERMINAL: &str = "\
set -f; [ -z \"$1\" ] || stty $1 2>/dev/null; [ -z \"$2\" ] || stty $2 2>/dev/null; set +f; shift 2
";

/// Puts a command together that is not UTF-8, which the kubelet's protobuf would refuse. `$1` pieces of
/// octal escapes follow. The x keeps the newlines at the end of a piece.
const OCTAL: &str = "\
__n=$1 __c=; shift
while [ \"$__n\" -gt 0 ]; do __p=$(printf \"$1\"x); __c=$__c${__p%x}; shift; __n=$((__n-1)); done
set -- \"$@\" \"$__c\"; unset __n __c __p
";

/// Takes the environment: words up to `--`. bash warns about a locale that the image lacks; that is left
/// to the user's own shell.
const ENVIRONMENT: &str =
    "while [ \"$1\" != -- ]; do export \"$1\"; shift; done 2>/dev/null; shift\n";

/// Says that the program is about to run, and which process it is: `/proc/self/stat` of the shell,
/// read by the shell itself, between bytes that no line discipline changes.
const READY: &str = "\
{ IFS= read -r __s </proc/self/stat; } 2>/dev/null
printf '\\001%s:%s\\002' \"$0\" \"$__s\"; unset __s
";

/// Finds the user's shell as login(1) would, from the image's passwd. A shell that refuses logins is
/// passed over.
const FIND_SHELL: &str = "\
__s= __u=
{ while read -r __k __v _; do [ \"$__k\" != Uid: ] || { __u=$__v; break; }; done </proc/self/status
  while IFS=: read -r _ _ __i _ _ _ __h; do [ \"$__i\" != \"$__u\" ] || { __s=$__h; break; }; done </etc/passwd
} 2>/dev/null
case $__s in */nologin|*/false) __s=;; esac
[ -f \"$__s\" ] && [ -x \"$__s\" ] || __s=$(command -v bash || command -v ash || command -v sh)
set -- \"$__s\"; unset __s __u __k __v __i __h
";

/// The wrapper stays as the program's parent, as sshd would, unless that is a shell on a terminal. It
/// keeps stdout and stderr open: a runtime closes stdin as soon as either has ended, which cuts `cat > file` short
/// (containerd issue 13934). The traps let the wrapper outlive a signal to the group and report the
/// program's status. In the program itself they are reset (POSIX sh, exec). The wrapper's own stderr is
/// moved, so that it prints nothing about how the program died. The subshell makes dash change only the
/// program's descriptors.
const STAY: &str = "\
trap __h=1 HUP; trap : INT QUIT ILL ABRT FPE USR1 SEGV USR2 PIPE ALRM TERM; exec 3>&2 2>/dev/null
";

/// A program to run in a container, and how to tell that it has begun.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrapped {
    /// The command line to execute.
    pub(crate) argv: Vec<String>,
    /// What the wrapper's first output begins with; it ends with byte 2.
    pub(crate) ready: String,
    /// How the program's end shows, unless the program has taken the wrapper's place.
    pub(crate) ending: Option<Ending>,
}

/// Why a command cannot be run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "the command is {0} bytes long, more than the {MAX_ARGUMENT} that Linux takes in one argument; send it as a script on stdin instead (ssh TARGET sh < script)"
    )]
    TooLong(usize),
    #[error("the command contains a NUL byte")]
    Nul,
    /// Only in an image without a shell, where the words are split here.
    #[error("the command's quotes do not match")]
    Quotes,
    /// The kubelet takes only UTF-8, and no shell is there to put the bytes together.
    #[error(
        "the command is not UTF-8, and an image without a shell can run only commands in UTF-8"
    )]
    NotUtf8,
    #[error("the command is empty")]
    Empty,
    #[error("the frontdoor asked for neither a shell nor a command")]
    NoProgram,
    #[error("the environment variable {0:?} cannot be set")]
    Variable(String),
}

/// Wraps what `exec` asks for, for an image that has a shell.
pub(crate) fn wrap(session: &str, exec: &Exec) -> Result<Wrapped, Error> {
    let mut script = String::new();
    let mut arguments = Vec::new();

    let terminal = exec.terminal.as_ref();
    let run = match exec.program.as_ref().ok_or(Error::NoProgram)? {
        Program::Shell(shell) => {
            script.push_str(FIND_SHELL);
            match shell.login {
                false => "exec \"$1\"",
                true => "exec \"$1\" -l",
            }
        }
        Program::Command(command) => {
            check(command)?;
            match std::str::from_utf8(command) {
                Ok(command) => arguments.push(command.to_owned()),
                Err(_) => {
                    script.push_str(OCTAL);
                    let pieces = octal(command);
                    arguments.push(pieces.len().to_string());
                    arguments.extend(pieces);
                }
            }
            "exec sh -c \"$1\""
        }
    };
    // The words that set the program up come first, its own arguments last.
    let mut prologue = String::new();
    let mut front = Vec::new();
    if let Some(terminal) = terminal {
        prologue.push_str(TERMINAL);
        front.push(terminal.size.as_ref().map(stty::size).unwrap_or_default());
        front.push(stty::modes(&terminal.modes));
    }
    prologue.push_str(ENVIRONMENT);
    front.push(format!("PODGATE_SESSION={session}"));
    front.extend(environment(exec, terminal)?);
    front.push("--".to_owned());

    let name = format!("podgate:{session}");
    let ready = format!("\u{1}{name}:");
    let leads = terminal.is_some() && exec.program.as_ref().is_some_and(leave::leads);
    let ending = (!leads).then(|| leave::ending(&name, terminal.is_some()));
    let last = if leads {
        run.to_owned()
    } else {
        let leave = leave::script(terminal.is_some());
        format!("{STAY}({run} 2>&3 3>&-)\n{leave}")
    };
    let script = format!("{prologue}{script}{READY}{last}");
    let argv = ["sh", "-c", &script, &name].map(str::to_owned);
    Ok(Wrapped {
        argv: argv.into_iter().chain(front).chain(arguments).collect(),
        ready,
        ending,
    })
}

/// The words of a command, for an image without a shell.
pub(crate) fn split(command: &[u8]) -> Result<Vec<String>, Error> {
    check(command)?;
    let command = std::str::from_utf8(command).map_err(|_| Error::NotUtf8)?;
    let words = shell_words::split(command).map_err(|_| Error::Quotes)?;
    if words.is_empty() {
        Err(Error::Empty)
    } else {
        Ok(words)
    }
}

fn check(command: &[u8]) -> Result<(), Error> {
    if command.len() > MAX_ARGUMENT {
        return Err(Error::TooLong(command.len()));
    }
    if command.contains(&0) {
        Err(Error::Nul)
    } else {
        Ok(())
    }
}

/// `NAME=value` words. TERM comes with the terminal; the frontdoor's allow-list has passed the rest.
fn environment(exec: &Exec, terminal: Option<&Terminal>) -> Result<Vec<String>, Error> {
    let term = terminal.map(|terminal| ("TERM", terminal.term.as_str()));
    let sent = exec
        .environment
        .iter()
        .map(|v| (v.name.as_str(), v.value.as_str()));
    let words = term.into_iter().chain(sent).map(|(name, value)| {
        let mut bytes = name.bytes();
        let start = bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let named = start && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let word = format!("{name}={value}");
        if named && !value.contains('\0') && word.len() <= MAX_ARGUMENT {
            Ok(word)
        } else {
            Err(Error::Variable(name.to_owned()))
        }
    });
    words.collect()
}

/// The command as formats for `printf`, each below the kernel's limit.
fn octal(command: &[u8]) -> Vec<String> {
    // A byte takes up to four characters.
    let pieces = command.chunks(MAX_ARGUMENT / 4);
    pieces
        .map(|piece| {
            let mut format = String::with_capacity(piece.len() * 4);
            for &byte in piece {
                match byte {
                    b'%' => format.push_str("%%"),
                    b'\\' => format.push_str("\\\\"),
                    // In front, a dash would make it an option.
                    b' '..=b'~' if byte != b'-' => format.push(char::from(byte)),
                    _ => format.push_str(&format!("\\{byte:03o}")),
                }
            }
            format
        })
        .collect()
}

#[cfg(test)]
mod tests;
