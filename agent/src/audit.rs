//! The node's own audit log: the grants that it accepted. It is apart from the frontdoor's log of the
//! same sessions.

mod event;

use podgate_process::audit::{AuditLog, Unwritable};

pub(crate) use event::{AcceptedGrant, Ended};

#[derive(Debug)]
pub(crate) struct Audit(AuditLog);

impl Audit {
    pub(crate) fn new(log: AuditLog) -> Self {
        Self(log)
    }

    /// Records that a grant is accepted. If this fails, nothing may start.
    pub(crate) fn accepted(&self, event: &AcceptedGrant<'_>) -> Result<(), Unwritable> {
        self.0.require(event)
    }

    /// Records the end of what a grant allowed. A loss is counted.
    pub(crate) fn ended(&self, event: &Ended<'_>) {
        let _ = self.0.record(event);
    }

    /// Waits a bounded time for the lines that are left.
    pub(crate) async fn finish(&self) {
        self.0.finish().await;
    }
}
