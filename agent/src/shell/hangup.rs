//! Signals without a node helper: a second exec runs the image's own shell, whose `kill` reaches what
//! a session runs. A process is told by its pid and start time together, so none that took over the
//! pid is ever signalled.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::exec::Event;
use crate::exec::status::Exit;
use crate::grant::Granted;
use crate::runtime::kubelet::{Error, Kubelet};

/// For one exec of the script.
const EXEC_TIMEOUT: Duration = Duration::from_secs(10);
/// What the script says of a process that is not the session's, or not any more.
const GONE: u8 = 3;
/// Bytes of the script's output, at the most: one line of /proc/PID/stat.
const MAX_OUTPUT: usize = 4 * 1024;

/// `$1` says what to do. Words of /proc/PID/stat from the third on are read behind the last
/// parenthesis, as the second may hold anything (proc(5)). Exits with 3 where the leader is gone, with
/// 4 where it could not be signalled. `kill -HUP -N` is the form that every sh's kill takes for a group.
///
/// - `hangup PID START` sends HUP and CONT to the leader's group and to the terminal's foreground group,
///   as a terminal that hangs up does, and prints the latter.
/// - `kill PID START GROUP AT` kills the leader, and what is left in its session of that group and of
///   the foreground there is now. Where jobs have no groups of their own, a background job stays: it
///   ignores HUP, and it or who started it reads /dev/null, as POSIX has it for such a one (Shell
///   Command Language §2.9.3). The leader may be gone, and its number
///   another's: then a process of its session that is older than AT vouches that it is not.
/// - a signal's name, `PID START`: it goes to the foreground group, or without a terminal to the leader's.
/// - `find SESSION` prints the stat of the leader that bears the session's mark.
const SCRIPT: &str = "\
look() {
  { read -r s <\"/proc/$1/stat\"; } 2>/dev/null || return 1
  set -- ${s##*) }
  [ \"$1\" != Z ] || return 1
  d=$2 g=$3 i=$4 f=$6 b=${20}
}
background() {
  x=
  while read -r k v; do case $k$v in SigIgn:*[13579bdf]) x=$1;; esac; done <\"/proc/$1/status\"
  for k in 1 2 3 4 5 6 7 8; do
    [ -n \"$x\" ] && [ \"$x\" != \"$l\" ] || return 1
    look \"$x\" && [ \"$i\" = \"$l\" ] || return 1
    [ ! \"/proc/$x/fd/0\" -ef /dev/null ] || return 0
    x=$d
  done
  return 1
}
marked() {
  for e in cmdline environ; do
    while IFS= read -r v || [ -n \"$v\" ]; do
      case $v in *podgate:$2*|*PODGATE_SESSION=$2*) return 0;; esac
    done <\"/proc/$1/$e\"
  done 2>/dev/null
  return 1
}
if [ \"$1\" = find ]; then
  for p in /proc/[0-9]*; do
    p=${p#/proc/}
    look \"$p\" && [ \"$i\" = \"$p\" ] && [ \"$d\" = 0 ] || continue
    marked \"$p\" \"$2\" && { printf '%s\\n' \"$s\"; exit 0; }
  done
  exit 3
fi
l=$2 q=
look \"$l\" && [ \"$b\" = \"$3\" ] && q=1
[ \"$i\" = \"$l\" ] && [ \"${f:-0}\" -gt 1 ] || f=$l
case $1 in
  hangup)
    [ -n \"$q\" ] || exit 3
    kill -HUP \"-$l\" || exit 4
    kill -CONT \"-$l\"
    [ \"$f\" = \"$l\" ] || { kill -HUP \"-$f\"; kill -CONT \"-$f\"; }
    echo \"$f\";;
  kill)
    j= z=$f
    [ -z \"$q\" ] || { kill -STOP \"$l\" && j=1; } || exit 4
    for n in 1 2; do
      c=
      for p in /proc/[0-9]*; do
        p=${p#/proc/}
        look \"$p\" && [ \"$i\" = \"$l\" ] || continue
        [ \"$b\" -gt \"$5\" ] || q=${q:-2}
        [ \"$g\" = \"$4\" ] || [ \"$g\" = \"$z\" ] || continue
        [ \"$p\" != \"$l\" ] || continue
        [ \"$g\" = \"$l\" ] && background \"$p\" || c=\"$c $p\"
      done
      [ -n \"$q\" ] || exit 3
      [ -z \"$c\" ] || { kill -KILL $c; j=1; }
    done
    [ \"$q\" != 1 ] || kill -KILL \"$l\"
    [ -n \"$j\" ] || exit 3;;
  *)
    [ -n \"$q\" ] || exit 3
    kill \"-$1\" \"-$f\" || exit 4;;
esac
exit 0
";

/// The process that leads a session, as its own container sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// Its pid in there.
    pub pid: u32,
    /// In clock ticks since boot.
    pub start_time: u64,
}

impl Leader {
    /// Reads a line of /proc/PID/stat (proc(5)).
    pub(super) fn from_stat(line: &str) -> Option<Self> {
        let pid = line.split(' ').next()?.parse().ok()?;
        let (_, rest) = line.rsplit_once(") ")?;
        let start_time = rest.split(' ').nth(19)?.parse().ok()?;
        Some(Self { pid, start_time })
    }
}

impl Kubelet {
    /// SIGHUP and SIGCONT, as a terminal that hangs up sends them. Answers the foreground group, or
    /// nothing where the leader is no more.
    pub async fn hang_up(&self, granted: &Granted, leader: Leader) -> Result<Option<u32>, Error> {
        let (pid, start) = words(leader);
        let output = signal(self, granted, &["hangup", &pid, &start]).await?;
        // Without a word it is the leader's own.
        Ok(output.map(|line| line.trim().parse().unwrap_or(leader.pid)))
    }

    /// Kills what a hang-up has left; whether there was anything to kill. `at` is when the hang-up
    /// was, in clock ticks since boot.
    pub async fn kill(
        &self,
        granted: &Granted,
        leader: Leader,
        foreground: u32,
        at: u64,
    ) -> Result<bool, Error> {
        let ((pid, start), group, at) = (words(leader), foreground.to_string(), at.to_string());
        let output = signal(self, granted, &["kill", &pid, &start, &group, &at]).await?;
        Ok(output.is_some())
    }

    /// Sends a signal to a session's foreground, by its name as RFC 4254 §6.10 has it.
    pub async fn signal(&self, granted: &Granted, leader: Leader, name: &str) -> Result<(), Error> {
        let (pid, start) = words(leader);
        signal(self, granted, &[name, &pid, &start]).await.map(drop)
    }

    /// Finds the leader of a session that has not reported itself.
    pub async fn find(&self, granted: &Granted, session: &str) -> Result<Option<Leader>, Error> {
        let found = signal(self, granted, &["find", session]).await?;
        Ok(found.as_deref().and_then(Leader::from_stat))
    }
}

fn words(leader: Leader) -> (String, String) {
    (leader.pid.to_string(), leader.start_time.to_string())
}

/// Runs the script; what it printed, or nothing where the process is gone.
async fn signal(
    kubelet: &Kubelet,
    granted: &Granted,
    arguments: &[&str],
) -> Result<Option<String>, Error> {
    match timeout(EXEC_TIMEOUT, run(kubelet, granted, arguments)).await {
        Ok(Ok((0, output))) => Ok(Some(output)),
        Ok(Ok((GONE, _))) => Ok(None),
        Ok(Ok((code, _))) => Err(Error::HangUp(code)),
        // Nothing that needs a shell was ever run there.
        Ok(Err(Error::NoShell)) => Ok(None),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::HangUpTimeout),
    }
}

/// The script's exit status and output.
async fn run(
    kubelet: &Kubelet,
    granted: &Granted,
    arguments: &[&str],
) -> Result<(u8, String), Error> {
    let argv = ["sh", "-c", SCRIPT, "podgate-hangup"]
        .iter()
        .chain(arguments);
    let argv: Vec<_> = argv.map(|&word| word.to_owned()).collect();
    let (mut input, mut output) = kubelet.exec(granted, &argv, false).await?;
    // The script reads nothing, and may be gone already.
    let _ = input.close().await;
    let mut said = Vec::new();
    loop {
        match output.next().await? {
            Event::Exit(Exit::Code(code)) => {
                return Ok((code, String::from_utf8_lossy(&said).into_owned()));
            }
            Event::Exit(Exit::NotFound(_)) => return Err(Error::NoShell),
            Event::Exit(other) => return Err(Error::Runtime(format!("{other:?}"))),
            Event::Stdout(bytes) if said.len() + bytes.len() <= MAX_OUTPUT => {
                said.extend_from_slice(&bytes);
            }
            Event::Stdout(_) | Event::Stderr(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
