//! Signals to a session's program and its end: SIGHUP and SIGCONT, a grace, SIGKILL. By the node
//! helper where it sees the process, else by the image's own shell. What is not surely the session's
//! is never signalled: it is counted and logged.

use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::sleep;

use super::{Error, How, Left, Means, Programs, identify};
use crate::kubelet::exec::{Input, Output};
use crate::kubelet::hangup::Leader;
use crate::node::protocol::{By, Process, Signal};

/// Seconds between tries: a kubelet or a helper that restarts is not there at once.
const PAUSES: [u64; 6] = [1, 2, 5, 15, 30, 60];

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

/// Seconds between looks for what an agent had asked for when it was killed: a start that was under way
/// may come to run yet.
const LATE_PAUSES: [u64; 5] = [1, 2, 5, 10, 20];

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

/// Ends a program, and forgets it once that is done.
pub(super) async fn end(programs: &Programs, left: Left, connection: Option<(Input, Output)>) {
    let outcome = match try_to_end(programs, left.clone(), connection).await {
        Ok(Outcome::Gone) => "gone",
        Ok(Outcome::Killed) => "killed",
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
    // An agent that is being stopped does not try for long; the next one does again.
    if outcome != "failed" || !means.stopped.is_cancelled() {
        means.remove(&left);
    }
}

/// Ends what an earlier agent has left.
pub(super) async fn recover(programs: &Programs, left: Left) {
    if matches!(left.how, How::Wrapped { leader: None }) {
        for pause in LATE_PAUSES {
            match find(programs, &left, &mut None).await {
                Ok(Found::Gone) | Err(_) if !programs.means.stopped.is_cancelled() => {
                    sleep(Duration::from_secs(pause)).await;
                }
                _ => break,
            }
        }
    }
    end(programs, left, None).await;
}

async fn try_to_end(
    programs: &Programs,
    mut left: Left,
    mut connection: Option<(Input, Output)>,
) -> Result<Outcome, Error> {
    let means = &programs.means;
    if let (Some((leader, hung_up)), Some(node)) = (&left.hung_up, &means.node) {
        let killed = again!(means, node.kill(leader, *hung_up).await);
        return Ok(Outcome::of(killed > 0));
    }
    match again!(means, find(programs, &left, &mut connection).await) {
        Found::Gone => Ok(Outcome::Gone),
        Found::ByNode(leader) => {
            let node = means.node.as_ref().ok_or(Error::InDoubt)?;
            let Some(hung_up) = again!(means, node.hang_up(&leader).await) else {
                return Ok(Outcome::Gone);
            };
            left.hung_up = Some((leader.clone(), hung_up));
            means.write(&left);
            drop(connection);
            sleep(means.grace).await;
            let killed = again!(means, node.kill(&leader, hung_up).await);
            Ok(Outcome::of(killed > 0))
        }
        Found::ByKubelet(leader) => {
            let (kubelet, granted) = (&programs.kubelet, &left.granted);
            let at = identify::now();
            let Some(foreground) = again!(means, kubelet.hang_up(granted, leader).await) else {
                return Ok(Outcome::Gone);
            };
            drop(connection);
            sleep(means.grace).await;
            let kill = again!(means, kubelet.kill(granted, leader, foreground, at).await);
            Ok(Outcome::of(kill))
        }
    }
}

impl Outcome {
    fn of(killed: bool) -> Self {
        if killed { Self::Killed } else { Self::Gone }
    }
}

/// Tries of one step: until it succeeds, or all pauses are over.
struct Tries<'a> {
    means: &'a Means,
    pauses: std::slice::Iter<'static, u64>,
}

impl<'a> Tries<'a> {
    fn new(means: &'a Means) -> Self {
        let pauses = PAUSES.iter();
        Self { means, pauses }
    }

    async fn place(&self) -> Option<SemaphorePermit<'a>> {
        // The semaphore is never closed; were it, nothing would be worse for going on.
        self.means.hangups.acquire().await.ok()
    }

    /// Waits before another try, if there is one. A doubt is not cleared by waiting.
    async fn pause(&mut self, error: Error) -> Result<(), Error> {
        match self.pauses.next() {
            Some(pause)
                if !matches!(error, Error::InDoubt) && !self.means.stopped.is_cancelled() =>
            {
                tracing::info!(%error, "hang-up is tried again");
                sleep(Duration::from_secs(*pause)).await;
                Ok(())
            }
            _ => Err(error),
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
    let seen = node.zip(left.container());
    let by = match &left.how {
        How::Words { .. } => {
            let sure = identify::sure(&programs.means, left, connection.take()).await?;
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
    if let Some((node, container)) = seen {
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
pub(super) async fn signal(
    programs: &Programs,
    left: &mut Left,
    signal: Signal,
) -> Result<(), Error> {
    match find(programs, left, &mut None).await? {
        Found::Gone => {}
        Found::ByNode(leader) => {
            if let Some(node) = &programs.means.node {
                node.signal(&leader, signal).await?;
            }
        }
        Found::ByKubelet(leader) => {
            let name = signal.name();
            programs.kubelet.signal(&left.granted, leader, name).await?;
        }
    }
    Ok(())
}
