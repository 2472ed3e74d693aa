//! Signals without a node helper: a second exec runs a script in the image's own shell, whose `kill`
//! reaches what a session runs. A process is known by its pid and start time together, so another one
//! that took over the pid is never signalled.

use super::leader::Leader;
use crate::exec::{self, Input, Output};
use crate::exit::{Exit, SIGNALLED};
use crate::streams::{Event, Input as _};

/// The script's status if the process is not the session's, or no longer.
const GONE: u8 = 3;
/// The script's status if it cannot tell what belongs to the session.
const IN_DOUBT: u8 = 5;
/// The most bytes of the script's output: one line of /proc/PID/stat.
const MAX_OUTPUT: usize = 4 * 1024;

/// `$1` says what to do. The second word of /proc/PID/stat may hold anything, so the words after it are
/// read from behind the last parenthesis (proc(5)). The script exits with 3 if the leader is gone, with 4
/// if it could not be signalled, with 5 if what there is may or may not be the session's. Every sh's kill
/// takes `kill -HUP -N` for a group.
///
/// - `hangup PID START SESSION` sends HUP and CONT to the leader's group and to the terminal's foreground
///   group, as a terminal that hangs up does, and prints the foreground group, and when that was: the script's
///   own start time. If the leader is gone, a process with its number for its session's and with the mark
///   vouches for the rest.
/// - `kill PID START GROUP AT` kills the leader, and in its session what is left of that group and of
///   the present foreground group. If the leader is gone, another process may have its number by now.
///   That it is still the same session is known if a process of it is older than AT.
/// - `SIGNAL PID START` sends the signal to the foreground group, or without a terminal to the leader's. A wrapper
///   that waits for the program would go on HUP or KILL without a word, so the others get these one by one: those
///   first that it has started; KILL also what they start meanwhile.
/// - `find SESSION` prints the stat of the leader that bears the session's mark.
///
/// `look` fills variables with what it sees of a process, which may be anybody's. The group that is signalled is
/// therefore kept in `h` before any other process is looked at. A terminal may name a group that has ended, whose
/// number is another session's by now, so `among` looks whether one of this session is in it. A process whose first
/// thread alone has ended is a zombie with more threads than one, and runs.
///
/// `spared` is what runs in the background: it or a parent reads /dev/null, and with a terminal it ignores
/// HUP. Without a terminal it has none of the leader's descriptors for stdout and stderr, or it ignores
/// INT and QUIT, as background jobs do (POSIX, Shell Command Language §2.9.3). Where something is spared,
/// the rest stands still until each has its HUP: no shell goes on because its child has ended.
const SCRIPT: &str = "\
exec 2>/dev/null
look() {
  read -r s <\"/proc/$1/stat\" || return 1
  set -- ${s##*) }
  [ \"$1\" != Z ] || [ \"${18}\" -gt 1 ] || return 1
  d=$2 g=$3 i=$4 t=$5 f=$6 b=${20}
}
ignores() {
  while read -r k v; do case $k$v in SigIgn:*$2) return 0;; esac; done <\"/proc/$1/status\"
  return 1
}
holds() {
  for e in 1 2; do
    o=/proc/$1/fd/$e
    [ ! \"$o\" -ef /dev/null ] || continue
    if [ \"$q\" = 1 ]; then
      for k in 0 1 2 3; do [ ! \"$o\" -ef \"/proc/$l/fd/$k\" ] || return 0; done
    else
      [ ! -p \"$o\" ] && [ ! -S \"$o\" ] || return 0
    fi
  done
  return 1
}
spared() {
  x=$1 y=
  if [ -n \"$w\" ]; then
    ignores \"$x\" '[13579bdf]' || return 1
    y=1
  else
    ! ignores \"$x\" '[67ef]' || y=1
  fi
  for n in 1 2 3 4 5 6 7 8; do
    [ -n \"$x\" ] && [ \"$x\" != \"$l\" ] || return 1
    look \"$x\" && [ \"$i\" = \"$l\" ] || return 1
    if [ \"/proc/$x/fd/0\" -ef /dev/null ]; then
      [ -z \"$y\" ] && holds \"$x\" || return 0
    fi
    x=$d
  done
  return 1
}
marked() {
  for e in cmdline environ; do
    while IFS= read -r v || [ -n \"$v\" ]; do
      case $v in *podgate:$2*|*PODGATE_SESSION=$2*) return 0;; esac
    done <\"/proc/$1/$e\"
  done
  return 1
}
left() {
  for p in /proc/[0-9]*; do
    p=${p#/proc/}
    look \"$p\" && [ \"$i\" = \"$l\" ] && [ \"$b\" -ge \"$1\" ] || continue
    q=5
    marked \"$p\" \"$2\" && { q=2; break; }
  done
  [ -n \"$q\" ] || exit 3
  [ \"$q\" = 2 ] || exit 5
}
among() {
  for p in /proc/[0-9]*; do
    look \"${p#/proc/}\" && [ \"$i\" = \"$l\" ] && [ \"$g\" = \"$h\" ] && return 0
  done
  return 1
}
wraps() {
  IFS= read -r v || [ -n \"$v\" ] || return 1
  case $v in *'eval \"$__run\"'*podgate:*) return 0;; esac
  return 1
} <\"/proc/$l/cmdline\"
pick() {
  for p in /proc/[0-9]*; do
    p=${p#/proc/}
    look \"$p\" && [ \"$i\" = \"$l\" ] && [ \"$g\" = \"$l\" ] || continue
    case \" $c$r \" in *\" $p \"*) continue;; esac
    if spared \"$p\"; then r=\"$r $p\"; else c=\"$c $p\"; fi
  done
}
if [ \"$1\" = find ]; then
  for p in /proc/[0-9]*; do
    p=${p#/proc/}
    look \"$p\" && [ \"$i\" = \"$p\" ] && [ \"$d\" = 0 ] || continue
    marked \"$p\" \"$2\" && { printf '%s\\n' \"$s\"; exit 0; }
  done
  for p in /proc/[0-9]*; do
    p=${p#/proc/}
    look \"$p\" && [ \"$i\" != 0 ] && ! look \"$i\" && marked \"$p\" \"$2\" && exit 5
  done
  exit 3
fi
l=$2 q= w= z= f= i=
look \"$l\" && { [ \"$b\" = \"$3\" ] && q=1 || [ \"$1\" = kill ] || exit 3; }
[ \"$q\" != 1 ] || [ \"$t\" = 0 ] || w=1
h=$f
[ \"$i\" = \"$l\" ] && [ \"${h:-0}\" -gt 1 ] || h=$l
[ \"$h\" = \"$l\" ] || among || h=$l
case $1 in
  hangup)
    [ -n \"$q\" ] || left \"$3\" \"$4\"
    c= r=
    [ -n \"$w\" ] || pick
    if [ -z \"$r\" ]; then
      [ \"$q\" = 1 ] || [ -n \"$c\" ] || exit 3
      kill -HUP \"-$l\" || exit 4
      kill -CONT \"-$l\"
      [ \"$h\" = \"$l\" ] || { kill -HUP \"-$h\"; kill -CONT \"-$h\"; }
    elif [ -n \"$c\" ]; then
      a=$c
      kill -STOP $a
      pick
      [ \"$a\" = \"$c\" ] || kill -STOP $c
      kill -HUP $c
      kill -CONT $c
    fi
    look \"$$\"
    echo \"$h $b\";;
  kill)
    j=
    [ -z \"$q\" ] || { kill -STOP \"$l\" && j=1; } || z=4
    for m in 1 2; do
      c=
      for p in /proc/[0-9]*; do
        p=${p#/proc/}
        look \"$p\" && [ \"$i\" = \"$l\" ] || continue
        [ \"$b\" -gt \"$5\" ] || q=${q:-2}
        [ \"$g\" = \"$4\" ] || [ \"$g\" = \"$h\" ] || continue
        [ \"$p\" != \"$l\" ] || continue
        [ \"$g\" = \"$l\" ] && spared \"$p\" || c=\"$c $p\"
      done
      [ -n \"$q\" ] || exit 3
      [ -z \"$c\" ] || { kill -KILL $c; j=1; }
    done
    [ \"$q\" != 1 ] || kill -KILL \"$l\"
    [ -z \"$z\" ] || exit $z
    [ -n \"$j\" ] || exit 3;;
  *)
    [ -n \"$q\" ] || exit 3
    case $1 in HUP|KILL) [ \"$h\" = \"$l\" ] && wraps;; *) false;; esac || {
      kill \"-$1\" \"-$h\" && exit 0
      exit 4
    }
    a= j=
    for m in 1 2 3 4 5 6 7 8; do
      c= r=
      for p in /proc/[0-9]*; do
        p=${p#/proc/}
        look \"$p\" && [ \"$i\" = \"$l\" ] && [ \"$g\" = \"$l\" ] && [ \"$p\" != \"$l\" ] || continue
        case \" $a \" in *\" $p \"*) continue;; esac
        if [ \"$d\" = \"$l\" ]; then c=\"$c $p\"; else r=\"$r $p\"; fi
      done
      [ -n \"$c$r\" ] || break
      a=\"$a$c$r\"
      for p in $c $r; do kill \"-$1\" \"$p\" && j=1; done
      [ \"$1\" = KILL ] || break
    done
    [ -z \"$a\" ] || [ -n \"$j\" ] || exit 4;;
esac
exit 0
";

/// Prints the modes of the terminal that process `$1` reads. Exits with 3 if they cannot be known.
const MODES: &str = "stty -a <\"/proc/$1/fd/0\" 2>/dev/null || exit 3";

/// Why the script did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Exec(#[from] exec::Error),
    #[error("the image has no shell of this name")]
    NoShell,
    #[error(
        "the process that leads the session is gone, and the processes that are left may not be its own"
    )]
    InDoubt,
    #[error("the hang-up script ended with status {0}")]
    Status(u8),
    #[error("the runtime could not start the hang-up script: {0}")]
    Runtime(String),
}

/// One run of the script.
#[derive(Debug)]
pub(crate) struct Script(Vec<String>);

impl Script {
    /// SIGHUP and SIGCONT, as a terminal that hangs up sends them. [`Reached`] reads the answer.
    pub(crate) fn hang_up(leader: Leader, session: &str) -> Self {
        Self::new("hangup", leader, [session.to_owned()])
    }

    /// Kills what a hang-up has left. `at` is when the hang-up was, in clock ticks since the container's
    /// machine booted: a sandbox has a machine of its own.
    pub(crate) fn kill(leader: Leader, foreground: u32, at: u64) -> Self {
        Self::new("kill", leader, [foreground.to_string(), at.to_string()])
    }

    /// Sends a signal to a session's foreground, by its name in RFC 4254 §6.10.
    pub(crate) fn signal(leader: Leader, name: &str) -> Self {
        Self::new(name, leader, [])
    }

    /// Finds the leader of a session that has not reported itself. [`Leader::from_stat`] reads the
    /// answer.
    pub(crate) fn find(session: &str) -> Self {
        Self(words(&["find", session]))
    }

    /// Reads the modes of a session's terminal (stty(1)).
    pub(crate) fn modes(leader: Leader) -> Self {
        let (pid, name) = (leader.pid.to_string(), "podgate-modes");
        Self(["-c", MODES, name, &pid].map(str::to_owned).to_vec())
    }

    fn new<const N: usize>(verb: &str, leader: Leader, more: [String; N]) -> Self {
        let (pid, start) = (leader.pid.to_string(), leader.start_time.to_string());
        let mut argv = words(&[verb, &pid, &start]);
        argv.extend(more);
        Self(argv)
    }

    /// What a runtime is to execute, with a shell of this name.
    pub(crate) fn argv(&self, shell: &str) -> Vec<String> {
        let shell = std::iter::once(shell.to_owned());
        shell.chain(self.0.iter().cloned()).collect()
    }
}

/// A shell's arguments that run the script with these of its own.
fn words(words: &[&str]) -> Vec<String> {
    let argv = ["-c", SCRIPT, "podgate-hangup"].iter().chain(words);
    argv.map(|&word| word.to_owned()).collect()
}

/// What a hang-up has reached, and when.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The foreground's process group.
    pub(crate) foreground: u32,
    /// In clock ticks since the container's machine booted.
    pub(crate) at: Option<u64>,
}

impl Reached {
    /// Reads the answer to [`Script::hang_up`]. Without one it was the leader's own group.
    pub(crate) fn from_answer(answer: &str, leader: Leader) -> Self {
        let mut words = answer.split_ascii_whitespace();
        let foreground = words.next().and_then(|word| word.parse().ok());
        Self {
            foreground: foreground.unwrap_or(leader.pid),
            at: words.next().and_then(|word| word.parse().ok()),
        }
    }
}

/// What the script printed, or `None` where the process is gone.
pub(crate) async fn answer(mut input: Input, mut output: Output) -> Result<Option<String>, Error> {
    // The script reads nothing, and may be gone already.
    let _ = input.end().await;
    let mut said = Vec::new();
    loop {
        match output.event().await? {
            Event::Exit(Exit::Code(0)) => {
                return Ok(Some(String::from_utf8_lossy(&said).into_owned()));
            }
            Event::Exit(Exit::Code(GONE)) => return Ok(None),
            Event::Exit(Exit::NotFound(_)) => return Err(Error::NoShell),
            Event::Exit(Exit::Code(IN_DOUBT)) => return Err(Error::InDoubt),
            Event::Exit(Exit::Code(code)) => return Err(Error::Status(code)),
            Event::Exit(Exit::Signalled { signal, .. }) => {
                return Err(Error::Status(SIGNALLED.saturating_add(signal)));
            }
            Event::Exit(Exit::NotExecutable(text) | Exit::Failed(text)) => {
                return Err(Error::Runtime(text));
            }
            Event::Exit(Exit::Missing(line)) => return Err(Error::Runtime(line.to_owned())),
            Event::Stdout(bytes) if said.len() + bytes.len() <= MAX_OUTPUT => {
                said.extend_from_slice(&bytes);
            }
            Event::Stdout(_) | Event::Stderr(_) | Event::Ended(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
