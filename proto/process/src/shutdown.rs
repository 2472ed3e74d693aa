//! How a program ends, in three stages: it stops accepting, waits to a deadline while sessions live, and
//! then forces them to end. The two tokens that mark the stages are watched by all its tasks.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How far a program has come to its end. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Cancelled when nothing new may begin. What runs goes on.
    pub draining: CancellationToken,
    /// Cancelled when what still runs must end.
    pub stopped: CancellationToken,
}

impl Shutdown {
    /// Goes on to the next stage: the first call begins to drain, the second stops.
    pub fn advance(&self) {
        if self.draining.is_cancelled() {
            self.stopped.cancel();
        } else {
            self.draining.cancel();
        }
    }

    /// Waits for `sessions` to end, once nothing is accepted any more: at most for `limit`, and no longer
    /// once the program is stopped. Then cancels `stopped`, and waits for those that are left. `count` says
    /// how many run, for the log.
    pub async fn drain(
        &self,
        limit: Duration,
        sessions: impl Future<Output = ()>,
        count: impl Fn() -> usize,
    ) {
        tracing::info!(sessions = count(), "draining");
        tokio::pin!(sessions);
        let ended = tokio::select! {
            () = &mut sessions => true,
            () = sleep(limit) => false,
            () = self.stopped.cancelled() => false,
        };
        if !ended {
            tracing::warn!(sessions = count(), "ending the sessions that are left");
        }
        self.stopped.cancel();
        if !ended {
            sessions.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);

    /// Drains with a session that ends when `end` says so, and says whether it was forced.
    async fn drain(limit: Duration, end: impl AsyncFnOnce(&Shutdown)) -> bool {
        let (shutdown, forced) = (Shutdown::default(), Cell::new(false));
        let session = async {
            end(&shutdown).await;
            forced.set(shutdown.stopped.is_cancelled());
        };
        shutdown.drain(limit, session, || 1).await;
        assert!(shutdown.stopped.is_cancelled());
        forced.get()
    }

    #[tokio::test]
    async fn sessions_end_by_themselves_or_are_forced() {
        assert!(!drain(NEVER, async |_| ()).await);
        let forced = async |shutdown: &Shutdown| shutdown.stopped.cancelled().await;
        assert!(drain(Duration::ZERO, forced).await);
        let twice = async |shutdown: &Shutdown| {
            shutdown.advance();
            assert!(shutdown.draining.is_cancelled() && !shutdown.stopped.is_cancelled());
            shutdown.advance();
            shutdown.stopped.cancelled().await;
        };
        assert!(drain(NEVER, twice).await);
    }
}
