//! How many sessions of each action may run at once on this node, and how many requests may wait to
//! become one. A session counts until nothing is left of it, neither in its pod nor in this process.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::admit::Served;
use crate::refusal::Refusal;

/// One quota for each action that is served, and one for requests.
#[derive(Debug)]
pub(crate) struct Quotas {
    exec: Arc<Semaphore>,
    openings: Arc<Semaphore>,
    most: usize,
}

/// A slot. It is free again once all its clones are dropped: the session's, and that of the messages
/// that its peer has not read.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Quotas {
    pub(crate) fn new(sessions: usize, openings: usize) -> Self {
        Self {
            exec: Arc::new(Semaphore::new(sessions)),
            openings: Arc::new(Semaphore::new(openings)),
            most: sessions.saturating_add(openings),
        }
    }

    /// How many sessions and requests there may be together.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Takes a slot for a request that has not said yet what it asks for, if any is free.
    pub(crate) fn open(&self) -> Option<Slot> {
        slot(&self.openings)
    }

    /// Takes one of the action's slots, if any is free.
    pub(crate) fn claim(&self, served: &Served) -> Result<Slot, Refusal> {
        let quota = match served {
            Served::Exec(_) => &self.exec,
        };
        slot(quota).ok_or_else(Refusal::full)
    }
}

fn slot(quota: &Arc<Semaphore>) -> Option<Slot> {
    let permit = Arc::clone(quota).try_acquire_owned().ok()?;
    Some(Slot {
        _permit: Arc::new(permit),
    })
}
