//! Watches over a running program for its session.

use std::sync::Arc;
use std::time::Duration;

use podgate_helper::protocol::Signal;
use tokio::time::sleep;

use super::signals::Signals;
use crate::grant::Granted;
use crate::runtime::Runtime;
use crate::session::Supervisor;

/// A container that is gone takes its sessions' last bytes with it in less.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// Watches over one program.
#[derive(Clone)]
pub(crate) struct ProgramSupervisor {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) granted: Granted,
    pub(super) signals: Arc<Signals>,
}

impl ProgramSupervisor {
    /// Waits for signals that are asked for.
    pub(crate) async fn signals(&self) -> Vec<Signal> {
        self.signals.take().await
    }
}

impl Supervisor for ProgramSupervisor {
    fn signal(&self, name: &str) {
        match serde_json::from_value(name.into()) {
            Ok(signal) => self.signals.ask(signal),
            // Its name may be anything, and long.
            Err(_) => tracing::debug!("no signal of RFC 4254 was asked for"),
        }
    }

    async fn until_gone(&self) -> String {
        let why = self.runtime.until_gone(&self.granted).await;
        sleep(LAST_BYTES).await;
        why
    }

    async fn why_gone(&self) -> Option<String> {
        self.runtime.why_gone(&self.granted).await
    }
}
