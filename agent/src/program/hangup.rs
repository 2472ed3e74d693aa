//! Signals to a session's program and its end: SIGHUP and SIGCONT, a grace, SIGKILL. By the node
//! helper where it sees the process, else by the image's own shell. What is not surely the session's
//! is never signalled: it is counted and logged.

use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::sleep;

use super::left::{Begun, How, Left};
use super::{Error, Means, Programs, identify};
use crate::kubelet::exec::{Input, Output};
use crate::kubelet::hangup::Leader;
use podgate_helper::protocol::{By, Process, Signal};
use podgate_helper::ticks;

/// Seconds between tries: a kubelet or a helper that restarts is not there at once.
const PAUSES: [u64; 6] = [1, 2, 5, 15, 30, 60];
/// Tries after which it is believed that a container is no more: a kubelet that has just restarted knows
/// of none for a while.
const GONE_TRIES: usize = 3;
/// Seconds between looks for what was asked for and may come to run yet.
const LATE_PAUSES: [u64; 5] = [1, 2, 5, 10, 20];

/// Takes one step, again and again until it succeeds or its tries are over.
macro_rules! again {
    ($means:expr, $step:expr) => {{
        let mut tries = Tries::new($means);
        loop {
            let place = tries.place().await;
            let outcome = $step;
            drop(place);
            match outcome {
                Ok(done) => break done,
                Err(error) => tries.pause(error.into()).await?,
            }
        }
    }};
}

/// What a hang-up came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It had ended already, or went at SIGHUP.
    Gone,
    /// SIGKILL was sent after the grace.
    Killed,
}

/// Who leads a session, as whoever signals it knows it.
enum Found {
    ByNode(Process),
    ByKubelet(Leader),
    Gone,
}

/// Ends a program, and forgets it once that is done. What could not be done is the next agent's.
pub(super) async fn end(programs: &Programs, mut left: Left, connection: Option<(Input, Output)>) {
    let outcome = match try_to_end(programs, &mut left, connection).await {
        Ok(Outcome::Gone) => "gone",
        Ok(Outcome::Killed) => "killed",
        Err(error) if error.container_gone() => "gone",
        Err(Error::InDoubt) => {
            tracing::warn!(session = %left.session, "what the session left is not surely its own, and is let be");
            "in_doubt"
        }
        Err(error) => {
            tracing::warn!(session = %left.session, %error, "what the session left could not be hung up");
            "failed"
        }
    };
    tracing::info!(outcome, "hung up");
    let means = &programs.means;
    means.metrics.hangups.get_or_create(&outcome.into()).inc();
    if outcome != "failed" {
        means.remove(&left);
    }
}

/// Ends what was asked for, and by whom nobody knows whether it runs: it may come to run yet.
pub(super) async fn recover(programs: &Programs, left: Left) {
    let means = &programs.means;
    if left.leader_unknown() {
        for pause in LATE_PAUSES {
            match find(programs, &left, &mut None).await {
                Ok(Found::ByNode(_) | Found::ByKubelet(_)) | Err(Error::InDoubt) => break,
                Ok(Found::Gone) | Err(_) => {}
            }
            tokio::select! {
                () = sleep(Duration::from_secs(pause)) => {}
                // The next agent finds it in the journal.
                () = means.stopped.cancelled() => return,
            }
        }
    }
    end(programs, left, None).await;
}

async fn try_to_end(
    programs: &Programs,
    left: &mut Left,
    mut connection: Option<(Input, Output)>,
) -> Result<Outcome, Error> {
    let means = &programs.means;
    let begun = match left.begun.clone() {
        Some(begun) => begun,
        None => {
            let Some(begun) = hang_up(programs, left, &mut connection).await? else {
                return Ok(Outcome::Gone);
            };
            left.begun = Some(begun.clone());
            means.write(left);
            begun
        }
    };
    drop(connection);
    let over = ticks::now().saturating_sub(begun.at()) / rustix::param::clock_ticks_per_second();
    sleep(means.grace.saturating_sub(Duration::from_secs(over))).await;
    let killed = match &begun {
        Begun::ByNode { leader, hung_up } => {
            let node = means.node.as_ref().ok_or(Error::InDoubt)?;
            again!(means, node.kill(leader, *hung_up).await) > 0
        }
        Begun::ByKubelet {
            leader,
            foreground,
            at,
        } => {
            let (kubelet, granted) = (&programs.kubelet, &left.granted);
            again!(
                means,
                kubelet.kill(granted, *leader, *foreground, *at).await
            )
        }
    };
    Ok(if killed {
        Outcome::Killed
    } else {
        Outcome::Gone
    })
}

/// Sends SIGHUP and SIGCONT; nothing where there is nobody any more.
async fn hang_up(
    programs: &Programs,
    left: &Left,
    connection: &mut Option<(Input, Output)>,
) -> Result<Option<Begun>, Error> {
    let means = &programs.means;
    match again!(means, find(programs, left, connection).await) {
        Found::Gone => Ok(None),
        Found::ByNode(leader) => {
            let node = means.node.as_ref().ok_or(Error::InDoubt)?;
            let hung_up = again!(means, node.hang_up(&leader).await);
            Ok(hung_up.map(|hung_up| Begun::ByNode { leader, hung_up }))
        }
        Found::ByKubelet(leader) => {
            let at = ticks::now();
            let foreground = again!(means, programs.kubelet.hang_up(&left.granted, leader).await);
            Ok(foreground.map(|foreground| Begun::ByKubelet {
                leader,
                foreground,
                at,
            }))
        }
    }
}

/// Tries of one step: until it succeeds, or all pauses are over.
struct Tries<'a> {
    means: &'a Means,
    pauses: std::slice::Iter<'static, u64>,
    tried: usize,
}

impl<'a> Tries<'a> {
    fn new(means: &'a Means) -> Self {
        let pauses = PAUSES.iter();
        Self {
            means,
            pauses,
            tried: 0,
        }
    }

    async fn place(&self) -> Option<SemaphorePermit<'a>> {
        // The semaphore is never closed; were it, nothing would be worse for going on.
        self.means.hangups.acquire().await.ok()
    }

    /// Waits before another try, if there is one. A doubt is not cleared by waiting.
    async fn pause(&mut self, error: Error) -> Result<(), Error> {
        self.tried += 1;
        let believed = error.container_gone() && self.tried > GONE_TRIES;
        if believed || matches!(error, Error::InDoubt) {
            return Err(error);
        }
        let Some(pause) = self.pauses.next() else {
            return Err(error);
        };
        tracing::info!(%error, "hang-up is tried again");
        tokio::select! {
            () = sleep(Duration::from_secs(*pause)) => Ok(()),
            () = self.means.stopped.cancelled() => Err(error),
        }
    }
}

/// Finds the session's leader. In an image without a shell it may take closing the connection.
async fn find(
    programs: &Programs,
    left: &Left,
    connection: &mut Option<(Input, Output)>,
) -> Result<Found, Error> {
    let (kubelet, node) = (&programs.kubelet, programs.means.node.as_ref());
    let by = match &left.how {
        How::Words(words) => {
            let sure = identify::sure(&programs.means, left, words, connection).await?;
            return Ok(sure.map_or(Found::Gone, Found::ByNode));
        }
        How::Wrapped {
            leader: Some(leader),
        } => By::Report {
            pid: leader.pid,
            start_time: leader.start_time,
        },
        How::Wrapped { leader: None } => By::Mark {
            session: left.session.clone(),
        },
    };
    if let Some((node, container)) = node.zip(left.container()) {
        match node.find(&container, by).await?.as_slice() {
            // A sandboxed runtime's processes are not the node's: its own shell knows them.
            [] => {}
            [only] => return Ok(Found::ByNode(only.process.clone())),
            _ => return Err(Error::InDoubt),
        }
    }
    let leader = match &left.how {
        How::Wrapped {
            leader: Some(leader),
        } => Some(*leader),
        _ => kubelet.find(&left.granted, &left.session).await?,
    };
    Ok(leader.map_or(Found::Gone, Found::ByKubelet))
}

/// Sends a signal to a program's foreground.
pub(super) async fn signal(programs: &Programs, left: &Left, signal: Signal) -> Result<(), Error> {
    match find(programs, left, &mut None).await? {
        Found::Gone => tracing::debug!(signal = signal.name(), "nobody is there to hear it"),
        Found::ByNode(leader) => {
            let node = programs.means.node.as_ref().ok_or(Error::InDoubt)?;
            let processes = node.signal(&leader, signal).await?;
            tracing::debug!(signal = signal.name(), processes, "signalled");
        }
        Found::ByKubelet(leader) => {
            let name = signal.name();
            programs.kubelet.signal(&left.granted, leader, name).await?;
        }
    }
    Ok(())
}
