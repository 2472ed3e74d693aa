//! What the wrapper does once its program has ended: it reads the rest of the input. A runtime that
//! waits to write input reports no status, and containerd's shim itself keeps the other end of the pipe
//! open, so that wait would never end. Then the wrapper exits with the program's status (`__e`), which
//! its words have too, always as three digits. After a hang-up (`__h`) nobody waits for it.

use podgate_proto::v1::exec::Program;

use crate::exec::Ending;

/// Without a terminal. `3` is the session's stderr, and the words go there. The agent answers with the
/// end of input. It has sent nothing else by then, because that would break the runtime's connection at
/// its end. A job that outlives the command and has both the session's input and its output may read
/// on: then nothing is taken from it. It may have the input under any number, as before the redirections
/// of `wc <&5 &`. Only numbers after the wrapper's own can be such a job's, unless numbers have begun again
/// since (the last one given is in /proc/loadavg): what ran before may have its output on a file system
/// that no longer answers, and a look at it would never end. `__k` is there for speed: a test of a file's
/// kind costs half of a comparison.
///
/// Most often all input has been read, so the shell looks by itself before it starts `cat`. It says
/// when it has come to the end: a runtime may lose the end of input, so the agent bounds that wait and
/// then gives the status that was in the words. The output stays open, because a runtime would close
/// stdin otherwise, while the agent still sends.
const PIPES: &str = "\
[ -z \"$__h\" ] || exit $__e
__k=-e; [ ! -p \"/proc/$$/fd/1\" ] || __k=-p
read -r _ _ _ _ __l </proc/loadavg; [ \"${__l:-0}\" -ge \"$$\" ] && __l=$$ || __l=0
for __p in /proc/[0-9]*; do
  [ \"${__p#/proc/}\" -gt \"$__l\" ] || continue
  for __f in 1 2; do
    [ $__k \"$__p/fd/$__f\" ] && [ \"$__p\" != \"/proc/$$\" ] || continue
    [ \"$__p/fd/$__f\" -ef \"/proc/$$/fd/1\" ] || [ \"$__p/fd/$__f\" -ef \"/proc/$$/fd/3\" ] || continue
    for __i in \"$__p\"/fd/*; do [ ! \"$__i\" -ef \"/proc/$$/fd/0\" ] || exit $__e; done
  done
done
printf '\\001%s:end:%03d\\002' \"$0\" \"$__e\" >&3
IFS= read -r __p && { cat >/dev/null || while read -r __p; do :; done; }
printf '\\001%s:out:%03d\\002' \"$0\" \"$__e\" >&3; exit $__e";

/// On a terminal, which has no stderr and no end of input. The words go to the terminal, and the agent
/// answers with an end of line and a line. Most often all input has been read, so that the second line
/// is the answer. The agent bounds the wait, as without a terminal.
const TERMINAL: &str = "\
[ -z \"$__h\" ] || exit $__e
stty raw -echo; printf '\\001%s:end:%03d\\002' \"$0\" \"$__e\"
IFS= read -r __p; [ -n \"$__h\" ] || IFS= read -r __p
case $__h$__p in *\"$0:end\") exit $__e;; esac
grep -q \"$0:end\" || while [ -z \"$__h\" ] && IFS= read -r __p; do
  case $__p in *\"$0:end\") break;; esac
done
exit $__e";

/// Programs that give their jobs groups of their own, and pass a hang-up on to them.
const SHELLS: [&str; 10] = [
    "ash", "bash", "csh", "dash", "fish", "ksh", "mksh", "sh", "tcsh", "zsh",
];

/// Whether a program on a terminal is a shell for a person. Such a shell leads its session itself, as
/// under sshd, because a hang-up goes to the leader. Nobody is then left to read its input when it has
/// ended.
pub(super) fn leads(program: &Program) -> bool {
    let Program::Command(command) = program else {
        return true;
    };
    let mut words = command.split(u8::is_ascii_whitespace);
    let first = words.find(|word| !word.is_empty() && *word != b"exec");
    let name = first.and_then(|path| path.rsplit(|&byte| byte == b'/').next());
    name.is_some_and(|name| SHELLS.iter().any(|shell| shell.as_bytes() == name))
}

/// The script's last part, after the program. Its own stderr must lead nowhere.
pub(super) fn script(terminal: bool) -> &'static str {
    if terminal { TERMINAL } else { PIPES }
}

/// How the program's end shows behind a wrapper of this name.
pub(super) fn ending(name: &str, terminal: bool) -> Ending {
    let words = |word| format!("\u{1}{name}:{word}:").into_bytes();
    if terminal {
        Ending::OnTerminal {
            words: words("end"),
            answer: format!("\n{name}:end\n").into_bytes(),
        }
    } else {
        Ending::OnStderr {
            words: words("end"),
            done: words("out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use podgate_proto::v1::Shell;

    use super::*;

    #[test]
    fn a_shell_for_a_person_leads_its_session() {
        assert!(leads(&Program::Shell(Shell { login: false })));
        for (command, expect) in [
            ("bash", true),
            (" exec /bin/bash -l", true),
            ("sh -c 'exit 3'", true),
            ("true", false),
            ("bashful", false),
            ("cat; bash", false),
            ("", false),
        ] {
            let program = Program::Command(command.as_bytes().to_vec().into());
            assert_eq!(leads(&program), expect, "{command:?}");
        }
    }
}
