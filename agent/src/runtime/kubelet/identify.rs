//! Finds a session's process in an image without a shell, where nothing marks it. It is the one that was
//! started with the session's words while no other start of ours was under way in its container. If
//! others start the same words at the same time, the process is not known, and is never guessed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use podgate_proto::v1::TerminalSize;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{sleep, timeout};

use crate::node_helper::NodeHelper;
use crate::runtime::running::Error;
use crate::runtime::trace::kubelet::Words;
use crate::streams::Streams;
use podgate_helper::protocol::{Candidate, ContainerId, FindBy, Process, Stdin};
use podgate_helper::ticks;

/// Milliseconds between looks for a process that is being started: first about as long as runc takes,
/// then longer.
const LOOKS: [u64; 7] = [20, 30, 50, 100, 200, 400, 1200];
/// Milliseconds between looks for the sign that tells a session's process from its doubles.
const SIGNS: [u64; 6] = [10, 40, 100, 200, 400, 800];
/// Seconds, a little more than a start may take. A double that has started within this time of the
/// process that was found may be the one that was meant.
const SETTLED: u64 = 12;
/// How long a start waits for its turn in a container where others start, too. Without a turn it goes
/// on, and its process can be known only by a sign.
const TURN: Duration = Duration::from_secs(2);
/// A size that no terminal has.
const ODD: TerminalSize = TerminalSize {
    columns: 9973,
    rows: 9967,
};

/// Starts of bare words. In each container they take turns: one at a time, until its process is
/// found.
#[derive(Debug, Default)]
pub(super) struct Starts(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    turns: HashMap<ContainerId, Arc<tokio::sync::Mutex<()>>>,
    /// Processes that are known to lead one of our sessions.
    taken: HashSet<Process>,
}

/// A program whose process is looked for. While it has its turn, no other of ours starts in its
/// container.
#[derive(Debug)]
pub(super) struct Unidentified {
    starts: Arc<Mutex<State>>,
    turn: Option<OwnedMutexGuard<()>>,
    taken: Option<Process>,
}

impl Starts {
    /// Waits for a turn in a container; `None` if that takes too long.
    pub(super) async fn begin(&self, container: ContainerId) -> Option<Unidentified> {
        let turn = {
            let mut state = lock(&self.0);
            state.turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(state.turns.entry(container).or_default())
        };
        let turn = timeout(TURN, turn.lock_owned()).await.ok()?;
        Some(Unidentified {
            starts: Arc::clone(&self.0),
            turn: Some(turn),
            taken: None,
        })
    }

    /// Notes a process that an earlier agent knew to lead one of its sessions. It is then no other
    /// session's double.
    pub(super) fn claim(&self, process: Process) {
        lock(&self.0).taken.insert(process);
    }
}

impl Drop for Unidentified {
    fn drop(&mut self) {
        if let Some(process) = &self.taken {
            lock(&self.starts).taken.remove(process);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a session's process is looked for by.
pub(super) struct Search<'a> {
    pub(super) helper: &'a NodeHelper,
    pub(super) starts: &'a Starts,
    pub(super) container: &'a ContainerId,
}

impl Search<'_> {
    /// Looks for the process until it is there, and ends the turn. Answers whether it was found.
    pub(super) async fn identify(
        &self,
        words: &mut Words,
        unidentified: &mut Unidentified,
    ) -> bool {
        if unidentified.turn.is_none() {
            return false;
        }
        for pause in LOOKS {
            sleep(Duration::from_millis(pause)).await;
            let now = ticks::now();
            let started = match self.started(words).await {
                Ok(started) => started,
                Err(error) => {
                    tracing::debug!(%error, "looking for the session's process");
                    continue;
                }
            };
            let mut fitting = started.into_iter().filter(|one| one.words);
            match (fitting.next(), fitting.next()) {
                (None, _) => {}
                (Some(only), None) => {
                    let process = only.process;
                    lock(&unidentified.starts).taken.insert(process.clone());
                    unidentified.taken = Some(process.clone());
                    words.leader = Some(process);
                    words.seen = Some(now);
                    break;
                }
                _ => break,
            }
        }
        unidentified.turn = None;
        words.leader.is_some()
    }

    /// The process of a session, if it is known for sure. It may have ended and left others.
    /// `Ok(None)`: nothing was started, and nothing is left.
    pub(super) async fn sure(
        &self,
        session: &Words,
        streams: &mut Option<Streams>,
    ) -> Result<Option<Process>, Error> {
        let before = self.started(session).await?;
        if let Some(leader) = &session.leader {
            let settled = leader.start_time + SETTLED * rustix::param::clock_ticks_per_second();
            let double = |one: &Candidate| {
                one.words && one.process != *leader && one.process.start_time <= settled
            };
            if !before.iter().any(double) {
                // It may not be among them: some programs rename themselves.
                return Ok(Some(leader.clone()));
            }
        }
        if before.is_empty() {
            return Ok(None);
        }
        // Without the streams there is no way to make it give a sign.
        let streams = streams.take().ok_or(Error::InDoubt)?;
        Ok(Some(self.sign(session, &before, streams).await?))
    }

    /// Has the process give a sign that no double gives: its terminal takes an odd size, or its input
    /// hangs up as the streams are closed.
    async fn sign(
        &self,
        session: &Words,
        before: &[Candidate],
        mut streams: Streams,
    ) -> Result<Process, Error> {
        let open = if session.terminal {
            let resized = streams.input.resize(&ODD).await;
            resized.map_err(|_| Error::InDoubt)?;
            Some(streams)
        } else {
            drop(streams);
            None
        };
        let mut signs = Vec::new();
        for pause in SIGNS {
            sleep(Duration::from_millis(pause)).await;
            signs = self.started(session).await?;
            signs.retain(gives);
            if !signs.is_empty() {
                break;
            }
        }
        drop(open);
        only_one(before, &signs, session.leader.as_ref())
            .cloned()
            .ok_or(Error::InDoubt)
    }

    /// The processes that were started in the container since the session began. Those of other
    /// sessions are left out, and those whose input is not of the session's kind. The session's own
    /// process, once known, is never left out.
    async fn started(&self, session: &Words) -> Result<Vec<Candidate>, Error> {
        let by = FindBy::Start {
            words: session.words.clone(),
            since: session.since,
        };
        let mut found = self.helper.find(self.container, by).await?.candidates;
        let state = lock(&self.starts.0);
        found.retain(|one| {
            let kind = match one.stdin {
                Stdin::Terminal { .. } => session.terminal,
                Stdin::Pipe { .. } => !session.terminal,
                // A program may have closed its input. Then nothing tells it from others.
                Stdin::Other => false,
            };
            session.leader.as_ref() == Some(&one.process)
                || kind && !state.taken.contains(&one.process)
        });
        Ok(found)
    }
}

/// The process that gave the sign, if it is surely the session's. A session whose input had ended gives
/// the sign before it is asked for. So a process that gives it now beside one that gave it before may
/// be a double whose user has just left, unless it was known to lead the session.
fn only_one<'a>(
    before: &[Candidate],
    signs: &'a [Candidate],
    leader: Option<&Process>,
) -> Option<&'a Process> {
    let gave_before = |now: &Candidate| {
        let mut then = before.iter().filter(|then| then.process == now.process);
        then.next().is_none_or(gives)
    };
    let leads = |one: &Candidate| leader == Some(&one.process);
    let mut newly = signs.iter().filter(|now| !gave_before(now));
    let only = match (newly.next(), newly.next(), signs) {
        (Some(only), None, signs) if signs.len() == 1 || leads(only) => only,
        // Its input had ended before. The input of no double has.
        (None, _, [only]) if leads(only) => only,
        _ => return None,
    };
    Some(&only.process)
}

fn gives(candidate: &Candidate) -> bool {
    match candidate.stdin {
        Stdin::Pipe { hung_up } => hung_up,
        Stdin::Terminal { columns, rows } => {
            (u32::from(columns), u32::from(rows)) == (ODD.columns, ODD.rows)
        }
        Stdin::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe(pid: u32, hung_up: bool) -> Candidate {
        Candidate {
            process: Process {
                container: ContainerId::try_from("a".repeat(64)).unwrap(),
                pid,
                start_time: 1,
            },
            stdin: Stdin::Pipe { hung_up },
            words: true,
        }
    }

    /// The pid of the one, by the pipes that had hung up before and that have now.
    fn one(before: &[(u32, bool)], now: &[u32], leader: Option<u32>) -> Option<u32> {
        let before: Vec<_> = before.iter().map(|(pid, hung)| pipe(*pid, *hung)).collect();
        let signs: Vec<_> = now.iter().map(|pid| pipe(*pid, true)).collect();
        let leader = leader.map(|pid| pipe(pid, false).process);
        only_one(&before, &signs, leader.as_ref()).map(|one| one.pid)
    }

    #[test]
    fn the_only_sign_tells_it() {
        assert_eq!(one(&[(1, false), (2, false)], &[2], None), Some(2));
        assert_eq!(one(&[(1, true), (2, false)], &[1], Some(1)), Some(1));
        assert_eq!(one(&[(1, true), (2, false)], &[1, 2], Some(2)), Some(2));
    }

    #[test]
    fn what_may_be_a_double_is_not_taken() {
        assert_eq!(one(&[(1, false), (2, false)], &[1, 2], None), None);
        assert_eq!(one(&[(1, true), (2, false)], &[1], None), None);
        assert_eq!(one(&[(1, true), (2, false)], &[1], Some(2)), None);
        // The session's own had given it, and a double gives it now.
        assert_eq!(one(&[(1, true), (2, false)], &[1, 2], None), None);
        assert_eq!(one(&[(1, true), (2, false)], &[1, 2], Some(1)), None);
        assert_eq!(one(&[], &[2], None), None);
    }
}
