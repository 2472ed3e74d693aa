//! Finds the leader of a session: the process that the runtime itself started for it. It leads its own
//! session (runc and crun call setsid for every exec), and its parent is outside the container. If
//! several fit, the agent decides which one is meant, or that none is.

use procfs::process::Stat;

use crate::processes;
use crate::terminal;
use podgate_helper::protocol::{By, Candidate, ContainerId, Process};

/// PF_EXITING of include/linux/sched.h.
const EXITING: u32 = 4;
/// The most processes in an answer.
const MAX_CANDIDATES: usize = 256;

/// All processes of the container that fit. The container is checked first, because nothing bounds what
/// can be read of a process elsewhere.
pub(crate) fn find(container: &ContainerId, by: &By) -> Vec<Candidate> {
    processes::all()
        .filter(|stat| stat.pid == stat.session && !processes::ended(stat))
        .filter(|stat| match by {
            By::Report { start_time, .. } => stat.starttime == *start_time,
            By::Start { since, .. } => stat.starttime >= *since,
            By::Mark { .. } => true,
        })
        .filter(|stat| processes::is_in(stat.pid, container))
        // The runtime is in no container. A daemon's new parent may be in another: the pause of a pod
        // whose containers share their processes.
        .filter(|stat| !processes::is_in_any(stat.ppid))
        .filter(|stat| fits(stat, by))
        .filter_map(|stat| {
            Some(Candidate {
                process: Process {
                    container: container.clone(),
                    pid: u32::try_from(stat.pid).ok()?,
                    start_time: stat.starttime,
                },
                stdin: terminal::stdin(stat.pid),
                words: match by {
                    By::Start { words, .. } => processes::has_words(stat.pid, words),
                    By::Report { .. } | By::Mark { .. } => false,
                },
            })
        })
        .take(MAX_CANDIDATES)
        .collect()
}

/// How many processes of the container run. One that is exiting runs no more, though it may take a
/// while to free its memory.
pub(crate) fn count(container: &ContainerId) -> usize {
    processes::all()
        .filter(|stat| !processes::ended(stat) && stat.flags & EXITING == 0)
        .filter(|stat| processes::is_in(stat.pid, container))
        .count()
}

fn fits(stat: &Stat, by: &By) -> bool {
    match by {
        By::Report { pid, .. } => {
            let inside = processes::pids(stat.pid).last().copied();
            inside == i32::try_from(*pid).ok()
        }
        By::Mark { session } => processes::has_mark(stat.pid, session),
        By::Start { .. } => true,
    }
}
