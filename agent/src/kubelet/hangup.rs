//! Hanging up without a node helper: a second exec runs the image's own shell, whose `kill` signals
//! what the session left. A process is told by its pid and start time together, so none that took
//! over the pid is ever signalled.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::exec::Event;
use super::status::Exit;
use super::{Error, Kubelet};
use crate::grant::Granted;

/// Between SIGHUP and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);
/// For each of the two execs.
const EXEC_TIMEOUT: Duration = Duration::from_secs(10);
/// What the script says of a process that is not the session's, or not any more.
const GONE: u8 = 3;

/// `$1` pid, `$2` start time, `$3` HUP or KILL. Words of /proc/PID/stat from the third on are read
/// behind the last parenthesis, as the second may hold anything (proc(5)). HUP and CONT go to the
/// leader's group and to the terminal's foreground group, as from a terminal that hangs up. KILL goes
/// to what must be the session's foreground still: with a terminal its foreground group, without one
/// the wrapper's only child, and the leader (stopped first, lest it forks meanwhile). A background
/// job that ignores SIGHUP is none of them. Exits with 3 where the leader is gone, with 4 where it
/// could not be signalled. `kill -HUP -N` is the form that every sh's kill takes for a group.
const SCRIPT: &str = "\
{ read -r s <\"/proc/$1/stat\"; } 2>/dev/null || exit 3
set -- \"$1\" \"$2\" \"$3\" ${s##*) }
[ \"${23}\" = \"$2\" ] || exit 3
l=$1 f=$9
[ \"$7\" = \"$l\" ] && [ \"$f\" -gt 1 ] || f=
if [ \"$3\" = HUP ]; then
  kill -HUP \"-$l\" || exit 4
  kill -CONT \"-$l\"
  [ -z \"$f\" ] || [ \"$f\" = \"$l\" ] || { kill -HUP \"-$f\"; kill -CONT \"-$f\"; }
  exit 0
fi
c=
kill -STOP \"$l\" || exit 4
if [ -n \"$f\" ]; then
  kill -KILL \"-$f\"
else
  for p in /proc/[0-9]*; do
    { read -r s <\"$p/stat\"; } 2>/dev/null || continue
    set -- ${s##*) }
    [ \"$2\" != \"$l\" ] || c=\"$c ${p#/proc/}\"
  done
fi
kill -KILL \"$l\" $c
exit 0
";

/// The process that leads a session, as its own container sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    pid: u32,
    /// In clock ticks since boot.
    start_time: u64,
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

/// What a hang-up came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The leader was gone already, or went at SIGHUP.
    Gone,
    /// SIGKILL was sent after the grace.
    Killed,
}

/// Hangs up what a session left in its container.
pub(super) async fn hang_up(
    kubelet: &Kubelet,
    granted: &Granted,
    leader: Leader,
) -> Result<Outcome, Error> {
    if signal(kubelet, granted, leader, "HUP").await? == Signalled::Gone {
        return Ok(Outcome::Gone);
    }
    sleep(GRACE).await;
    Ok(match signal(kubelet, granted, leader, "KILL").await? {
        Signalled::Gone => Outcome::Gone,
        Signalled::Yes => Outcome::Killed,
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Signalled {
    Yes,
    Gone,
}

/// Runs the script. A container that is gone took all with it.
async fn signal(
    kubelet: &Kubelet,
    granted: &Granted,
    leader: Leader,
    signal: &str,
) -> Result<Signalled, Error> {
    match timeout(EXEC_TIMEOUT, run(kubelet, granted, leader, signal)).await {
        Ok(Ok(0)) => Ok(Signalled::Yes),
        Ok(Ok(GONE)) => Ok(Signalled::Gone),
        Ok(Ok(code)) => Err(Error::HangUp(code)),
        Ok(Err(error)) if error.container_gone() => Ok(Signalled::Gone),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::HangUpTimeout),
    }
}

/// The script's exit status.
async fn run(
    kubelet: &Kubelet,
    granted: &Granted,
    leader: Leader,
    signal: &str,
) -> Result<u8, Error> {
    let (pid, start) = (leader.pid.to_string(), leader.start_time.to_string());
    let argv = ["sh", "-c", SCRIPT, "podgate-hangup", &pid, &start, signal].map(str::to_owned);
    let (mut input, mut output) = kubelet.exec(granted, &argv, false).await?;
    // The script reads nothing, and may be gone already.
    let _ = input.close().await;
    loop {
        match output.next().await? {
            Event::Exit(Exit::Code(code)) => return Ok(code),
            Event::Exit(other) => return Err(Error::Runtime(format!("{other:?}"))),
            Event::Stdout(_) | Event::Stderr(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
