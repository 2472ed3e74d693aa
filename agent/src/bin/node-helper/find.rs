//! Finds the leader of a session: the process that the runtime itself started for it. Such a one
//! leads its own session (runc and crun call setsid for every exec), and its parent is outside the
//! container. Whether one of several is meant, the agent decides, or nobody.

use procfs::process::Stat;

use crate::processes;
use crate::protocol::{By, Candidate, ContainerId, Process};
use crate::terminal;

/// More than so many are no answer.
const MAX_CANDIDATES: usize = 256;

/// All processes of the container that fit.
pub(crate) fn find(container: &ContainerId, by: &By) -> Vec<Candidate> {
    processes::all()
        .filter(|stat| stat.pid == stat.session && !processes::ended(stat))
        .filter(|stat| fits(stat, by))
        .filter(|stat| processes::is_in(stat.pid, container))
        .filter(|stat| !processes::is_in(stat.ppid, container))
        .filter_map(|stat| {
            Some(Candidate {
                process: Process {
                    container: container.clone(),
                    pid: u32::try_from(stat.pid).ok()?,
                    start_time: stat.starttime,
                },
                stdin: terminal::stdin(stat.pid),
            })
        })
        .take(MAX_CANDIDATES)
        .collect()
}

/// How many processes of the container run.
pub(crate) fn count(container: &ContainerId) -> usize {
    processes::all()
        .filter(|stat| !processes::ended(stat) && processes::is_in(stat.pid, container))
        .count()
}

fn fits(stat: &Stat, by: &By) -> bool {
    match by {
        By::Report { pid, start_time } => {
            let inside = || processes::pids(stat.pid).last().copied();
            stat.starttime == *start_time && inside() == i32::try_from(*pid).ok()
        }
        By::Mark { session } => {
            let (name, variable) = (
                format!("podgate:{session}"),
                format!("PODGATE_SESSION={session}"),
            );
            let has =
                |words: Vec<Vec<u8>>, text: &str| words.iter().any(|word| word == text.as_bytes());
            has(processes::arguments(stat.pid), &name)
                || has(processes::environment(stat.pid), &variable)
        }
        By::Words { words, since } => {
            let same = || {
                let theirs = processes::arguments(stat.pid);
                theirs.len() == words.len()
                    && theirs.iter().zip(words).all(|(a, b)| a == b.as_bytes())
            };
            stat.starttime >= *since && same()
        }
    }
}
