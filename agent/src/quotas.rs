//! How many sessions of each action may run at once on this node. A session counts until nothing is
//! left of it.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::admit::Served;
use crate::refusal::Refusal;

/// One quota for each action that is served.
#[derive(Debug)]
pub(crate) struct Quotas {
    exec: Semaphore,
}

impl Quotas {
    pub(crate) fn new(sessions: usize) -> Self {
        let exec = Semaphore::new(sessions);
        Self { exec }
    }

    /// Takes one of the action's slots, if any is free.
    pub(crate) fn claim(&self, served: &Served) -> Result<SemaphorePermit<'_>, Refusal> {
        let quota = match served {
            Served::Exec(..) => &self.exec,
        };
        quota.try_acquire().map_err(|_| Refusal::full())
    }
}
