//! The small shell script that stands in front of a user's program. It sets what an exec cannot set
//! (environment, terminal size and modes), says that it runs, and gets out of the way. A user must see
//! no difference from sshd.

use podgate_proto::v1::{Exec, WorkingDirectory, exec::Program};

use super::{leave, lone, stty};
use crate::command::{Error, MAX_ARGUMENT, check, environment};
use crate::exec::Ending;
use crate::trouble::KILLED_FOR_MEMORY;

// The scripts' own variables begin with __, so that they do not touch the image's.

// Each process in front of the user's own delays the session. So the scripts look things up with the
// shell's own words where they can: a substitution of a command would fork.

/// Sets the terminal up (`$1` size, `$2` modes) if the image has a stty. A mode that stty does not know
/// must not cost the size. `set -f` keeps a mode like `^?` from being expanded to a file name.
const TERMINAL: &str = "\
set -f; [ -z \"$1$2\" ] || stty $1 $2 2>/dev/null || [ -z \"$1\" ] || [ -z \"$2\" ] || stty $1 2>/dev/null; set +f; shift 2
for __t in /dev/pts/[0-9]*; do
  if [ \"$__t\" -ef \"/proc/$$/fd/0\" ]; then export SSH_TTY=\"$__t\"; break; fi
done
[ -n \"$SSH_TTY\" ] || { __t=$(tty 2>/dev/null) && export SSH_TTY=\"$__t\"; }; unset __t
";

/// Finds a program by PATH as `command -v` does: `__p`.
const FIND: &str = "\
__find() {
  __p= IFS=:; set -f
  for __a in $PATH; do
    [ -f \"${__a:-.}/$1\" ] && [ -x \"${__a:-.}/$1\" ] && { __p=${__a:-.}/$1; break; }
  done
  unset IFS; set +f; [ -n \"$__p\" ]
}
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

/// Notes which process it is: `/proc/self/stat` of the shell, read by the shell itself.
const SELF: &str = "{ IFS= read -r __t </proc/self/stat; } 2>/dev/null\n";

/// Says that the program is about to run, and which process leads, between bytes that no line
/// discipline changes.
const READY: &str = "printf '\\001%s:%s\\002' \"$0\" \"$__t\"";

/// Looks the user up in the image's passwd: `__n` name, `__d` home, `__s` shell. As under sshd, USER and
/// LOGNAME are set; HOME is the runtime's, unless it has set none. The runtime takes it from passwd, too,
/// where neither the image nor the pod says otherwise.
const USER: &str = "\
__u= __n= __d= __s=
{ while read -r __k __v _; do [ \"$__k\" != Uid: ] || { __u=$__v; break; }; done </proc/self/status
  while IFS=: read -r __k _ __v _ _ __p __h || [ -n \"$__k\" ]; do
    [ \"$__v\" != \"${__u:-none}\" ] || { __n=$__k __d=$__p __s=$__h; break; }
  done </etc/passwd
} 2>/dev/null
[ -z \"$__n\" ] || export USER=\"$__n\" LOGNAME=\"$__n\"
[ -n \"$HOME\" ] || [ -z \"$__d\" ] || export HOME=\"$__d\"
case $__s in */nologin|*/false) __s=;; esac
[ -f \"$__s\" ] && [ -x \"$__s\" ] || __s=
";

/// Goes to the home of a user who is known. If it is not there, the folder stays as it is.
const HOME: &str = "\
case $__n:$HOME in ?*:/*) cd \"$HOME\" 2>/dev/null;; esac
";

/// A user without a shell of their own, or with one that refuses logins, gets the image's best. Some
/// busyboxes have shells that are no files.
const ANY_SHELL: &str = "\
[ -n \"$__s\" ] || { __find bash || __find ash || __find sh; } && __s=${__s:-$__p}
[ -n \"$__s\" ] || __s=$(command -v bash || command -v ash || command -v sh)
";

/// … and for a command sh.
const ANY_SH: &str = "\
[ -n \"$__s\" ] || __find sh && __s=${__s:-$__p}
[ -n \"$__s\" ] || __s=$(command -v sh)
";

/// SHELL, and none of the variables that a shell in front would leave. Debian's bash reads ~/.bashrc for
/// a command only where SHLVL is below 2. ksh 93 takes one off at an exec, and would crash without.
const SHELL: &str = "\
[ -n \"$__s\" ] || __s=/bin/sh
case $__s in
  /*) export SHELL=\"$__s\";;
  *) [ ! -x \"/bin/$__s\" ] || export SHELL=\"/bin/$__s\";;
esac
unset OLDPWD; case $KSH_VERSION in *93*) ;; *) unset SHLVL;; esac
";

/// Has `$0` of a command be the shell's name, as sshd does. Where PATH leads to another shell of this
/// name, it is the path. Some busyboxes find themselves without PATH.
const BY_NAME: &str = "\
if __find \"${__s##*/}\"; then [ ! \"$__p\" -ef \"$__s\" ] || __s=${__s##*/}
elif [ \"$(command -v \"${__s##*/}\" 2>/dev/null)\" = \"${__s##*/}\" ]; then __s=${__s##*/}
fi
";

/// Has dash become a lone command, whose program is `__f`, if that is there.
const LONE: &str = "\
case ${__s##*/} in sh|dash|ash)
  case $__f in
    '') false;;
    */*) [ -f \"$__f\" ] && [ -x \"$__f\" ];;
    *) __find \"$__f\";;
  esac && set -- \"exec $1\";;
esac
";

/// A shell stays as the program's parent, as sshd would, unless the program is a shell on a terminal. Its
/// script (`__r`) and the command come by its environment: in its arguments, `pkill -f` would find them.
const HAND_OVER: &str = "export __run=\"$__r\" __shell=\"$__s\" __command=\"$1\"\n";

/// What the shell that stays is called with, behind its name.
const EVALUATE: &str = " -c 'eval \"$__run\"' \"$0\"";

/// The shell that stays keeps stdout and stderr open: a runtime closes stdin as soon as either has
/// ended, which cuts `cat > file` short (containerd issue 13934). The traps let it outlive a signal to
/// the group and report the program's status. In the program itself they are reset (POSIX sh, exec). Its
/// own stderr is moved, so that it prints nothing about how the program died. A fork that fails ends it, and
/// the trap on EXIT says so. The subshell makes dash change only the program's descriptors.
const STAY: &str = "\
__s=$__shell; set -- \"$__command\"; unset __run __shell __command
case $KSH_VERSION in *93*) ;; *) unset SHLVL;; esac
trap '[ -n \"$__e\" ] || echo Cannot fork >&3' EXIT
trap __h=1 HUP; trap : INT QUIT ILL ABRT FPE USR1 SEGV USR2 PIPE ALRM TERM; exec 3>&2 2>/dev/null
";

/// Counts how often the kernel has killed for want of memory in this container (cgroup v2, else v1).
/// bash and dash read a file that is not there with an error that a group's redirection hides.
const KILLS: &str = "\
__kills() {
  __k=; for __f in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    [ ! -r $__f ] || while read -r __a __b; do [ \"$__a\" != oom_kill ] || __k=$__b; done <$__f
  done
}
__kills; __o=$__k
";

/// A program that was killed for want of memory leaves nobody to say so.
fn killed() -> String {
    format!(
        "[ $__e != 137 ] || {{ __kills; [ \"$__k\" = \"$__o\" ] || echo 'podgate: {KILLED_FOR_MEMORY}' >&3; }}\n"
    )
}

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

/// Wraps what `exec` asks for, for an image that has a shell of this name.
pub(crate) fn wrap(
    session: &str,
    exec: &Exec,
    folder: WorkingDirectory,
    shell: &str,
) -> Result<Wrapped, Error> {
    let terminal = exec.terminal.as_ref();
    // The words that set the program up come first, its own arguments last.
    let mut script = String::new();
    let mut arguments = Vec::new();
    if let Some(terminal) = terminal {
        script.push_str(TERMINAL);
        arguments.push(terminal.size.as_ref().map(stty::size).unwrap_or_default());
        arguments.push(stty::modes(&terminal.modes));
    }
    script.push_str(ENVIRONMENT);
    arguments.push(format!("PODGATE_SESSION={session}"));
    arguments.extend(environment(exec)?);
    arguments.push("--".to_owned());

    let program = Front::of(exec)?;
    script.push_str(FIND);
    script.push_str(USER);
    if folder == WorkingDirectory::Home {
        script.push_str(HOME);
    }
    let leads = terminal.is_some() && exec.program.as_ref().is_some_and(leave::leads);
    if !leads {
        script.push_str("__r=$1; shift\n");
        arguments.push(stay(program.run, leave::script(terminal.is_some())));
    }
    script.push_str(&program.script);
    arguments.extend(program.arguments);
    script.push_str(&match leads {
        true => format!("{SELF}{READY}; unset __t; exec \"$__s\"{}", program.run),
        false => format!("{HAND_OVER}exec {shell}{EVALUATE}"),
    });

    let name = format!("podgate:{session}");
    let ready = format!("\u{1}{name}:");
    let ending = (!leads).then(|| leave::ending(&name, terminal.is_some()));
    let argv = [shell, "-c", &script, &name].map(str::to_owned);
    Ok(Wrapped {
        argv: argv.into_iter().chain(arguments).collect(),
        ready,
        ending,
    })
}

/// The script of the shell that stays. The program's first output comes behind its fork: a container
/// may have reached its limit of processes.
fn stay(run: &str, leave: &str) -> String {
    let killed = killed();
    format!("{STAY}{KILLS}{SELF}({READY}; exec \"$__s\"{run} 2>&3 3>&-)\n__e=$?\n{killed}{leave}")
}

/// What finds the shell, and how that is called.
struct Front {
    script: String,
    arguments: Vec<String>,
    /// The shell's arguments, in which `$1` is the command.
    run: &'static str,
}

impl Front {
    fn of(exec: &Exec) -> Result<Self, Error> {
        match exec.program.as_ref().ok_or(Error::NoProgram)? {
            Program::Shell(shell) => Ok(Self {
                script: [ANY_SHELL, SHELL].concat(),
                arguments: Vec::new(),
                run: if shell.login { " -l" } else { "" },
            }),
            Program::Command(command) => Self::command(command),
        }
    }

    fn command(command: &[u8]) -> Result<Self, Error> {
        check(command)?;
        let mut script = [ANY_SH, SHELL, BY_NAME, "__f=$1; shift\n"].concat();
        let text = std::str::from_utf8(command).ok();
        let program = text.and_then(lone::program).unwrap_or_default();
        let mut arguments = vec![program.to_owned()];
        match text {
            Some(command) => arguments.push(command.to_owned()),
            None => {
                script.push_str(OCTAL);
                let pieces = octal(command);
                arguments.push(pieces.len().to_string());
                arguments.extend(pieces);
            }
        }
        script.push_str(LONE);
        Ok(Self {
            script,
            arguments,
            run: " -c \"$1\"",
        })
    }
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
