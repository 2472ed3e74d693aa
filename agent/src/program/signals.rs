//! Signals that a client has asked for and that were not sent yet. Each kind is kept once, as the
//! kernel does it.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use podgate_helper::protocol::Signal;

/// The signals of one session.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pending: Mutex<Vec<Signal>>,
    more: Notify,
}

impl Signals {
    pub(super) fn ask(&self, signal: Signal) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if !pending.contains(&signal) {
            pending.push(signal);
        }
        drop(pending);
        self.more.notify_one();
    }

    /// Waits for signals, and takes them in the order in which they were asked for.
    pub(super) async fn take(&self) -> Vec<Signal> {
        self.more.notified().await;
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
