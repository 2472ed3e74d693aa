//! Which process a session runs in an image without a shell, where nothing marks it: the one that was
//! started with the session's words while no other start of ours was under way in its container.
//! Others may start the same words at the same time; then the process is not known, and never guessed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::{sleep, timeout};

use super::left::{How, Left, Words};
use super::{Error, Means};
use crate::kubelet::exec::{Input, Output};
use podgate_helper::protocol::{By, Candidate, ContainerId, Process, Stdin};
use podgate_proto::v1::TerminalSize;

/// Between looks for a process that is being started, in milliseconds: about as long as runc takes,
/// then longer.
const LOOKS: [u64; 7] = [20, 30, 50, 100, 200, 400, 1200];
/// Between looks for what tells a session's process from its doubles, in milliseconds.
const SIGNS: [u64; 6] = [10, 40, 100, 200, 400, 800];
/// Seconds that a start takes at the most, and some. A double this close behind the process that was
/// found may be the one that was meant.
const SETTLED: u64 = 12;
/// For a place in a container where others start, too: a start without one goes on, and its process is
/// known only by a sign.
const PLACE: Duration = Duration::from_secs(2);
/// A size that no terminal has.
const ODD: TerminalSize = TerminalSize {
    columns: 9973,
    rows: 9967,
};

/// Starts of bare words: one at a time in a container, until its process is found.
#[derive(Debug, Default)]
pub(super) struct Starts(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    places: HashMap<ContainerId, Arc<tokio::sync::Mutex<()>>>,
    /// Processes that are known to lead one of our sessions.
    taken: HashSet<Process>,
}

/// A program whose process is looked for. While it has its place no other of ours starts there.
#[derive(Debug)]
pub(super) struct Unidentified {
    starts: Arc<Mutex<State>>,
    place: Option<OwnedMutexGuard<()>>,
    taken: Option<Process>,
}

impl Starts {
    /// Waits for a container's place; none where that takes too long.
    pub(super) async fn begin(&self, container: ContainerId) -> Option<Unidentified> {
        let place = {
            let mut state = lock(&self.0);
            state.places.retain(|_, place| Arc::strong_count(place) > 1);
            Arc::clone(state.places.entry(container).or_default())
        };
        let place = timeout(PLACE, place.lock_owned()).await.ok()?;
        Some(Unidentified {
            starts: Arc::clone(&self.0),
            place: Some(place),
            taken: None,
        })
    }

    /// Takes what an earlier agent knew to lead one of its sessions, so that it is nobody's double.
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

/// Looks for the process until it is there, and gives the container's place back.
pub(super) async fn identify(means: &Means, left: &mut Left, unidentified: &mut Unidentified) {
    if unidentified.place.is_none() {
        return;
    }
    for pause in LOOKS {
        sleep(Duration::from_millis(pause)).await;
        let How::Words(words) = &left.how else {
            break;
        };
        let started = match started(means, left, words).await {
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
                if let How::Words(words) = &mut left.how {
                    words.leader = Some(process);
                }
                means.write(left);
                break;
            }
            _ => break,
        }
    }
    unidentified.place = None;
}

/// The process of a session, if it is known for sure. `Ok(None)`: it has ended.
pub(super) async fn sure(
    means: &Means,
    left: &Left,
    session: &Words,
    connection: &mut Option<(Input, Output)>,
) -> Result<Option<Process>, Error> {
    let before = started(means, left, session).await?;
    if let Some(leader) = &session.leader {
        let settled = leader.start_time + SETTLED * rustix::param::clock_ticks_per_second();
        let double = |one: &Candidate| {
            one.words && one.process != *leader && one.process.start_time <= settled
        };
        if !before.iter().any(double) {
            // It may have other words by now, as a program that renames itself.
            let lives = before.iter().any(|one| one.process == *leader);
            return Ok(lives.then(|| leader.clone()));
        }
    }
    if before.is_empty() {
        return Ok(None);
    }
    // Without its connection nothing gives a sign.
    let connection = connection.take().ok_or(Error::InDoubt)?;
    Ok(Some(sign(means, left, session, &before, connection).await?))
}

/// Has the process give a sign that no double gives: its terminal takes an odd size, or its input
/// hangs up as the connection is closed.
async fn sign(
    means: &Means,
    left: &Left,
    session: &Words,
    before: &[Candidate],
    connection: (Input, Output),
) -> Result<Process, Error> {
    let open = if session.terminal {
        let (mut input, output) = connection;
        input.resize(&ODD).await.map_err(|_| Error::InDoubt)?;
        Some((input, output))
    } else {
        drop(connection);
        None
    };
    let mut signs = Vec::new();
    for pause in SIGNS {
        sleep(Duration::from_millis(pause)).await;
        signs = started(means, left, session).await?;
        signs.retain(gives);
        if !signs.is_empty() {
            break;
        }
    }
    drop(open);
    let newly = |now: &&Candidate| {
        let then = before.iter().find(|then| then.process == now.process);
        then.is_some_and(|then| !gives(then))
    };
    let mut changed = signs.iter().filter(newly);
    match (changed.next(), changed.next(), signs.as_slice()) {
        (Some(only), None, _) => Ok(only.process.clone()),
        // Its input was at its end before, which none of the doubles can say.
        (None, _, [only]) if session.leader.as_ref() == Some(&only.process) => {
            Ok(only.process.clone())
        }
        _ => Err(Error::InDoubt),
    }
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

/// All that was started in the container no earlier than the session, but for what is known to be
/// another session's of ours, and what reads nothing that a session has. Whatever it is, the session's
/// own process is known by more than its words.
async fn started(means: &Means, left: &Left, session: &Words) -> Result<Vec<Candidate>, Error> {
    let (Some(node), Some(container)) = (&means.node, left.container()) else {
        return Err(Error::InDoubt);
    };
    let by = By::Start {
        words: session.words.clone(),
        since: session.since,
    };
    let mut found = node.find(&container, by).await?;
    let state = lock(&means.starts.0);
    found.retain(|one| {
        let kind = match one.stdin {
            Stdin::Terminal { .. } => session.terminal,
            Stdin::Pipe { .. } => !session.terminal,
            // A program may have closed it; then nothing tells it from others but what is known.
            Stdin::Other => false,
        };
        session.leader.as_ref() == Some(&one.process) || kind && !state.taken.contains(&one.process)
    });
    Ok(found)
}
