//! What all recordings of a recorder share.

use std::sync::Arc;

use crate::age::Recipient;
use crate::folder::Folder;
use crate::health::{Health, Metrics};
use crate::object::Object;
use crate::spool::Spool;
use crate::upload::Uploads;
use crate::wakes::Wakes;

/// The memory for recordings, and where they go from there.
#[derive(Debug)]
pub(crate) struct Shared {
    /// This frontdoor's name in its recordings.
    pub(crate) frontdoor: String,
    pub(crate) uploads: Arc<Uploads>,
    /// If there is one, objects go to it first and from it to the store.
    pub(crate) folder: Option<Arc<Folder>>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) wakes: Arc<Wakes>,
    /// For whom recordings are encrypted. If there is none, they are not.
    pub(crate) recipients: Arc<[Recipient]>,
    pub(crate) metrics: Metrics,
}

impl Shared {
    /// Hands an object on, however long it takes.
    pub(crate) async fn put(&self, object: Object) {
        match &self.folder {
            Some(folder) => folder.put(object).await,
            None => self.uploads.put(&object).await,
        }
    }

    /// Of what takes objects from memory: while it is well, nothing is lost when this process ends.
    pub(crate) fn health(&self) -> &Health {
        match &self.folder {
            Some(folder) => folder.health(),
            None => &self.uploads.health,
        }
    }
}
