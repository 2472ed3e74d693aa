//! Which processes of a session a hang-up spares: those that run in its background, as under sshd. The leader is
//! never spared: the kubelet has started it, and its runtime kills it once nobody holds its streams.

use procfs::process::Stat;

use crate::{descriptors, processes};
use podgate_helper::protocol::Process;

/// Bits of signals in the sets of /proc/PID/status.
const HUP: u64 = 1;
const INT_AND_QUIT: u64 = 1 << 1 | 1 << 2;
/// Steps from a process up to its session's leader, at most.
const MAX_PARENTS: usize = 16;

/// With a terminal: whether the process belongs to a background job that lives on, of a shell without
/// job control. Such a job ignores SIGHUP, and it or a parent reads /dev/null, as POSIX requires (Shell
/// Command Language §2.9.3).
pub(crate) fn ignores_hang_ups(process: &Stat, leader: &Process) -> bool {
    processes::ignores(process.pid, HUP)
        && up_to_leader(process, leader)
            .any(|one| descriptors::reads_nothing(&one, &leader.container))
}

/// Without a terminal: whether the process, or a parent, has detached itself. Such a process reads
/// /dev/null, and either has neither stdout nor stderr of the session, as servers are started, or is a
/// background job that ignores SIGINT and SIGQUIT (the same section).
pub(crate) fn is_detached(process: &Stat, leader: &Process, given: &[String]) -> bool {
    let job = processes::ignores(process.pid, INT_AND_QUIT);
    up_to_leader(process, leader).any(|one| {
        descriptors::reads_nothing(&one, &leader.container)
            && (job || !descriptors::holds(one.pid, given))
    })
}

/// A process and its parents, below the leader. A process that has adopted an orphan does not belong to
/// the orphan's session, whatever it reads.
fn up_to_leader(process: &Stat, leader: &Process) -> impl Iterator<Item = Stat> {
    let (leader, session) = (leader.pid, process.session);
    let below = move |one: &Stat| one.session == session && one.pid.unsigned_abs() != leader;
    let first = Some(process.clone()).filter(below);
    let parents = std::iter::successors(first, move |one| processes::stat(one.ppid).filter(below));
    parents.take(MAX_PARENTS)
}
