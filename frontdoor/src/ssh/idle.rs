//! How long a session has moved no byte. Keepalives do not count: they show that the client's program
//! lives, not that anybody uses the session.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

pub(super) struct Idle {
    limit: Option<Duration>,
    begun: Instant,
    /// When bytes last moved, in nanoseconds after `begun`.
    last: AtomicU64,
}

impl Idle {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            begun: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    /// Notes that bytes moved, in either direction.
    pub(super) fn moved(&self) {
        if self.limit.is_some() {
            let after = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.last.store(after, Ordering::Relaxed);
        }
    }

    /// Waits until no byte has moved for as long as the limit, and returns the limit. Without a limit it
    /// waits for ever.
    pub(super) async fn over(&self) -> Duration {
        let Some(limit) = self.limit else {
            return std::future::pending().await;
        };
        loop {
            let last = Duration::from_nanos(self.last.load(Ordering::Relaxed));
            let due = self.begun + last + limit;
            if Instant::now() >= due {
                return limit;
            }
            sleep_until(due).await;
        }
    }
}
