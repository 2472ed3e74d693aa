//! Channels that this end has opened at a client, so that their tasks hear when the client closes one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russh::ChannelId;
use tokio_util::sync::CancellationToken;

/// Those of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnChannels(Arc<Mutex<HashMap<ChannelId, CancellationToken>>>);

/// One of them, until this is dropped.
pub(super) struct OwnChannel {
    all: OwnChannels,
    id: ChannelId,
    closed: CancellationToken,
}

impl OwnChannels {
    pub(super) fn enter(&self, id: ChannelId, closed: CancellationToken) -> OwnChannel {
        self.lock().insert(id, closed.clone());
        let all = self.clone();
        OwnChannel { all, id, closed }
    }

    pub(super) fn close(&self, id: ChannelId) {
        if let Some(closed) = self.lock().get(&id) {
            closed.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnChannel {
    /// Cancelled when the client closes the channel, or goes.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.closed
    }
}

impl Drop for OwnChannel {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}
