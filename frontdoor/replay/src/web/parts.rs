//! What the handlers of requests share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::entry::Door;
use crate::show::{Desk, Error, Places};

/// All that answers are made with. Clones share it.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) door: Arc<Door>,
    pub(crate) desk: Desk,
    /// For recordings that are played or downloaded.
    pub(crate) streams: Arc<Places>,
    pub(crate) followers: Arc<Places>,
    /// How users reach the page.
    pub(crate) url: Arc<str>,
    /// The audience of tokens, if any are taken.
    pub(crate) audience: Option<Arc<str>>,
    pub(crate) draining: CancellationToken,
}

impl Parts {
    /// Counts what a limit refused.
    pub(super) fn count(&self, error: &Error) {
        if let Some(limit) = error.limit() {
            self.desk.metrics.refused(limit);
        }
    }
}
