//! The sockets of a connection for its client's ssh-agent: one in each container that its sessions go to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use russh::server::Handle;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// Those of one connection.
#[derive(Default)]
pub(super) struct AgentSockets {
    /// Set once the client has asked for it.
    connection: OnceLock<Handle>,
    /// By the container's id.
    known: Mutex<HashMap<String, AgentSocket>>,
}

/// One of them.
#[derive(Clone, Default)]
pub(super) struct AgentSocket {
    pub(super) path: Arc<OnceCell<String>>,
    /// Cancelled once nothing listens there any more.
    pub(super) over: CancellationToken,
}

impl AgentSockets {
    /// The client has asked for it, maybe again.
    pub(super) fn ask(&self, connection: Handle) {
        let _ = self.connection.set(connection);
    }

    /// What opens channels at the client, if it has asked for it.
    pub(super) fn connection(&self) -> Option<Handle> {
        self.connection.get().cloned()
    }

    /// The socket in a container, which may not be there yet.
    pub(super) fn of(&self, container: &str) -> AgentSocket {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, socket| !socket.over.is_cancelled());
        known.entry(container.to_owned()).or_default().clone()
    }
}
