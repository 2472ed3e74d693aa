//! Finds the leader of a session: the process that the runtime itself started for it. It leads its own
//! session (runc and crun from 1.20 call setsid for every exec), and its parent is outside the container. If
//! several fit, the agent decides which one is meant, or that none is. A leader that was killed alone
//! is found by the processes that it has left.

use std::collections::HashSet;

use procfs::process::Stat;

use crate::{processes, terminal};
use podgate_helper::protocol::{Answer, Candidate, ContainerId, FindBy, Process, Stdin};

/// PF_EXITING of include/linux/sched.h.
const EXITING: u32 = 4;
/// The most processes in an answer.
const MAX_CANDIDATES: usize = 256;

/// All processes of the container that fit, and whether there are others that may fit.
pub(crate) fn find(container: &ContainerId, by: &FindBy) -> Answer {
    let mut found = Found::default();
    for stat in leaders(container) {
        if found.candidates.len() == MAX_CANDIDATES {
            break;
        }
        found.consider(&stat, container, by);
    }
    if found.candidates.is_empty() {
        found.consider_orphans(container, by);
    }
    Answer::Found {
        candidates: found.candidates,
        doubt: found.doubt,
    }
}

/// How many processes run in the container. An exiting one does not count, though it may take a while
/// to free its memory.
pub(crate) fn count(container: &ContainerId) -> usize {
    processes::all()
        .filter(|stat| !processes::ended(stat) && stat.flags & EXITING == 0)
        .filter(|stat| processes::is_in(stat.pid, container))
        .count()
}

/// The processes that a runtime has started in a container. The container is checked first: all else a
/// process can make long.
fn leaders(container: &ContainerId) -> impl Iterator<Item = Stat> {
    processes::all()
        .filter(|stat| stat.pid == stat.session && !processes::ended(stat))
        .filter(|stat| processes::is_in(stat.pid, container))
        // The runtime is in no container. A daemon's new parent may be in another one: the pause
        // container of a pod whose containers share their processes.
        .filter(|stat| !processes::is_in_any(stat.ppid))
}

#[derive(Default)]
struct Found {
    candidates: Vec<Candidate>,
    doubt: bool,
}

impl Found {
    fn consider(&mut self, stat: &Stat, container: &ContainerId, by: &FindBy) {
        let mut candidate = |stdin, words| {
            if let Ok(pid) = u32::try_from(stat.pid) {
                self.candidates.push(Candidate {
                    process: process(container, pid, stat.starttime),
                    stdin,
                    words,
                });
            }
        };
        let sure = match by {
            FindBy::Report {
                pid,
                start_time,
                session,
                since,
            } => {
                let inside = processes::pids(stat.pid).last().copied();
                if stat.starttime != *start_time || inside != i32::try_from(*pid).ok() {
                    return;
                }
                // The image's shell may report whatever it likes.
                if since.is_some_and(|since| stat.starttime >= since) {
                    Ok(true)
                } else {
                    processes::has_mark(stat, container, session)
                }
            }
            FindBy::Mark { session } => match processes::has_mark(stat, container, session) {
                Ok(false) => return,
                seen => seen,
            },
            FindBy::Start { words, since } => {
                if stat.starttime >= *since {
                    // A process that cannot be looked at may be a double.
                    let words = processes::has_words(stat, container, words).unwrap_or(true);
                    candidate(terminal::stdin(stat, container), words);
                }
                return;
            }
        };
        match sure {
            Ok(true) => candidate(Stdin::Other, false),
            Ok(false) | Err(_) => self.doubt = true,
        }
    }

    /// Looks for a session whose leader is gone. The session's number stays taken as long as a process
    /// has it, and the mark of one such process tells whose session it is. Without a reported leader it
    /// may as well be a daemon's session.
    fn consider_orphans(&mut self, container: &ContainerId, by: &FindBy) {
        let (session, reported) = match by {
            FindBy::Report {
                session,
                pid,
                start_time,
                ..
            } => (session, Some((*pid, *start_time))),
            FindBy::Mark { session } => (session, None),
            FindBy::Start { .. } => return,
        };
        let (mut numbers, mut sure) = (HashSet::new(), false);
        for stat in orphans(container) {
            match reported {
                Some((pid, start_time)) => {
                    let inside = processes::sessions(stat.pid);
                    if stat.starttime < start_time || !inside.contains(&pid.cast_signed()) {
                        continue;
                    }
                    numbers.insert(stat.session);
                    sure =
                        sure || matches!(processes::has_mark(&stat, container, session), Ok(true));
                }
                None => {
                    let theirs = processes::has_mark(&stat, container, session);
                    self.doubt |= theirs.unwrap_or(true);
                }
            }
        }
        let mut numbers = numbers.into_iter();
        match (numbers.next(), numbers.next(), reported) {
            (Some(number), None, Some((_, start_time))) if sure => {
                self.candidates.push(Candidate {
                    process: process(container, number.unsigned_abs(), start_time),
                    stdin: Stdin::Other,
                    words: false,
                })
            }
            (None, ..) => {}
            _ => self.doubt = true,
        }
    }
}

/// The processes of a container that belong to a session without a leader.
fn orphans(container: &ContainerId) -> impl Iterator<Item = Stat> {
    let led = |stat: &Stat| {
        let leader = processes::stat(stat.session);
        leader.is_some_and(|leader| !processes::ended(&leader))
    };
    processes::all()
        .filter(|stat| !processes::ended(stat) && stat.session > 0)
        .filter(|stat| processes::is_in(stat.pid, container))
        .filter(move |stat| !led(stat))
}

fn process(container: &ContainerId, pid: u32, start_time: u64) -> Process {
    Process {
        container: container.clone(),
        pid,
        start_time,
    }
}
