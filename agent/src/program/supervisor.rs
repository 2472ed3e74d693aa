//! Watches over a running program for its session.

use std::sync::Arc;
use std::time::Duration;

use podgate_helper::protocol::Signal;
use tokio::time::sleep;

use super::signals::Signals;
use crate::grant::Granted;
use crate::runtime::Runtime;
use crate::session::Supervisor;

/// How long a session may still give bytes after its container is gone.
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
            // The name comes from the client and may be long, so it is not logged.
            Err(_) => tracing::debug!("the client asked for a signal that RFC 4254 does not name"),
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
