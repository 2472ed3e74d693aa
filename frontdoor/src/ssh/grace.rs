//! The time in which a client has to log in: the configured time, and less as slots for clients that
//! log in fill up.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::context::Context;

/// How often the time is checked while a client waits: it gets shorter when others come.
const LOOK: Duration = Duration::from_secs(1);

pub(super) struct Grace {
    begun: Instant,
    context: Arc<Context>,
}

impl Grace {
    pub(super) fn new(context: &Arc<Context>) -> Self {
        Self {
            begun: Instant::now(),
            context: Arc::clone(context),
        }
    }

    /// Waits until the time is over.
    pub(super) async fn over(&self) {
        loop {
            let time = self.context.quotas.login_grace();
            let left = time.saturating_sub(self.begun.elapsed());
            if left.is_zero() {
                return;
            }
            sleep(left.min(LOOK)).await;
        }
    }
}
