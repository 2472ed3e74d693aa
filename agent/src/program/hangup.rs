//! The end of a session's program: SIGHUP and SIGCONT, a grace period, SIGKILL. A process that is not
//! surely the session's own is never signalled, but counted and logged.

use std::future::pending;
use std::time::Duration;

use tokio::time::sleep;

use super::hangup_turns::HangUpTurn;
use super::services::ProgramServices;
use super::tracked::Tracked;
use crate::grant::Granted;
use crate::runtime::running::Error;
use crate::streams::{Event, Streams};
use podgate_helper::ticks;

/// Seconds between tries. A runtime or a helper that restarts is away for a while.
const PAUSES: [u64; 6] = [1, 2, 5, 15, 30, 60];
/// Tries after which a runtime is believed when it says that a container is gone. A runtime that has
/// just restarted knows no container for a while.
const GONE_TRIES: usize = 3;

/// How many bytes of output are dropped between two pauses of the grace, and the pause: some 10 MB/s.
const DRAIN_STEP: usize = 1024 * 1024;
const DRAIN_PAUSE: Duration = Duration::from_millis(100);

/// Repeats one step until it succeeds or its tries are used up.
macro_rules! again {
    ($services:expr, $granted:expr, $step:expr) => {{
        let mut tries = Tries::new($services);
        loop {
            let turn = tries.turn($granted).await;
            let outcome = $step;
            drop(turn);
            match outcome {
                Ok(done) => break done,
                Err(error) => tries.pause(error).await?,
            }
        }
    }};
}

/// What a hang-up came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It had ended already, or ended by SIGHUP.
    Gone,
    /// SIGKILL was sent after the grace.
    Killed,
}

/// Ends a program, and removes it from the journal once that is done. What cannot be done is left to
/// the next agent.
pub(super) async fn end(
    services: &ProgramServices,
    mut tracked: Tracked,
    streams: Option<Streams>,
) {
    let outcome = match try_to_end(services, &mut tracked, streams).await {
        Ok(Outcome::Gone) | Err(Error::ContainerGone(_)) => "gone",
        Ok(Outcome::Killed) => "killed",
        Err(Error::InDoubt) => {
            tracing::warn!(session = %tracked.session, "the processes that are left may not be the session's, so they are left alone");
            "in_doubt"
        }
        Err(error) => {
            tracing::warn!(session = %tracked.session, %error, "the processes that the session left could not be hung up");
            tracked.running.abandon();
            "failed"
        }
    };
    tracing::info!(outcome, "hung up");
    services
        .metrics
        .hangups
        .get_or_create(&outcome.into())
        .inc();
    if outcome != "failed" {
        services.remove(&tracked.session);
    }
}

/// Ends a program that may or may not run: it may still start.
pub(super) async fn recover(services: &ProgramServices, mut tracked: Tracked) {
    tokio::select! {
        () = tracked.settle(services) => {}
        // The next agent finds it in the journal.
        () = services.stopped.cancelled() => return,
    }
    end(services, tracked, None).await;
}

async fn try_to_end(
    services: &ProgramServices,
    tracked: &mut Tracked,
    mut streams: Option<Streams>,
) -> Result<Outcome, Error> {
    let granted = tracked.granted.clone();
    let hang_up = match tracked.hang_up.clone() {
        Some(hang_up) => hang_up,
        None => {
            let sent = again!(
                services,
                &granted,
                tracked.running.hang_up(&mut streams).await
            );
            let Some(hang_up) = sent else {
                return Ok(Outcome::Gone);
            };
            tracked.hang_up = Some(hang_up.clone());
            services.write(tracked.entry()).await;
            hang_up
        }
    };
    let over = ticks::now().saturating_sub(hang_up.at()) / rustix::param::clock_ticks_per_second();
    let grace = sleep(services.grace.saturating_sub(Duration::from_secs(over)));
    match &mut streams {
        // A runtime kills a program whose streams are closed.
        Some(streams) => tokio::select! {
            () = grace => {}
            () = drain(streams) => {}
        },
        None => grace.await,
    }
    let killed = again!(services, &granted, tracked.running.kill(&hang_up).await);
    Ok(if killed {
        Outcome::Killed
    } else {
        Outcome::Gone
    })
}

/// Takes and drops what a program still writes, at a bounded rate, so that it does not wait for a
/// reader while it cleans up. Never returns.
async fn drain(streams: &mut Streams) {
    let mut taken = 0;
    loop {
        match streams.output.next().await {
            Ok(Event::Stdout(bytes) | Event::Stderr(bytes)) => taken += bytes.len(),
            Ok(Event::Ended(_)) => {}
            Ok(Event::Exit(_)) | Err(_) => pending().await,
        }
        if taken >= DRAIN_STEP {
            taken = 0;
            sleep(DRAIN_PAUSE).await;
        }
    }
}

/// The tries of one step.
struct Tries<'a> {
    services: &'a ProgramServices,
    pauses: std::slice::Iter<'static, u64>,
    tried: usize,
}

impl<'a> Tries<'a> {
    fn new(services: &'a ProgramServices) -> Self {
        let pauses = PAUSES.iter();
        Self {
            services,
            pauses,
            tried: 0,
        }
    }

    async fn turn(&self, granted: &Granted) -> HangUpTurn<'a> {
        self.services.turns.take(granted).await
    }

    /// Waits before another try, or returns the error if there is none. A doubt is returned at once:
    /// waiting does not clear it.
    async fn pause(&mut self, error: Error) -> Result<(), Error> {
        self.tried += 1;
        let last = match error {
            Error::ContainerGone(_) => self.tried > GONE_TRIES,
            Error::InDoubt => true,
            Error::Failed(_) => false,
        };
        if last {
            return Err(error);
        }
        let Some(pause) = self.pauses.next() else {
            return Err(error);
        };
        tracing::info!(%error, "hang-up is tried again");
        tokio::select! {
            () = sleep(Duration::from_secs(*pause)) => Ok(()),
            () = self.services.stopped.cancelled() => Err(error),
        }
    }
}
