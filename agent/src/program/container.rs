//! The container that a program runs in, as its session asks after it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Programs;
use super::signals::Signals;
use crate::grant::Granted;
use crate::session::Place;
use podgate_helper::protocol::ContainerId;

/// A container that is gone takes its sessions' last bytes with it in less.
const LAST_BYTES: Duration = Duration::from_secs(1);
/// For the kubelet to notice that a container is gone whose program was killed, and how often to ask.
const NOTICE: (usize, Duration) = (7, Duration::from_millis(500));

/// What a running program's session needs to know of its place, apart from the program's handle,
/// which is busy with signals.
#[derive(Debug)]
pub(crate) struct Container {
    pub(super) programs: Programs,
    pub(super) granted: Granted,
    pub(super) id: Option<ContainerId>,
    pub(super) signals: Arc<Signals>,
}

impl Place for Container {
    fn signal(&self, name: &str) {
        match serde_json::from_value(name.into()) {
            Ok(signal) => self.signals.ask(signal),
            // Its name may be anything, and long.
            Err(_) => tracing::debug!("no signal of RFC 4254 was asked for"),
        }
    }

    async fn gone(&self) -> String {
        let gone = self.programs.kubelet.until_gone(&self.granted).await;
        sleep(LAST_BYTES).await;
        gone.to_string()
    }

    async fn is_gone(&self) -> Option<String> {
        if let (Some(node), Some(id)) = (&self.programs.means.node, &self.id)
            && let Ok(true) = node.runs(id).await
        {
            return None;
        }
        let (times, pause) = NOTICE;
        for _ in 0..times {
            if let Some(gone) = self.programs.kubelet.is_gone(&self.granted).await {
                return Some(gone.to_string());
            }
            sleep(pause).await;
        }
        None
    }
}
