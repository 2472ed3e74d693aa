//! Puts objects into the store, with growing pauses, until it takes them.

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::health::{Health, Metrics};
use crate::object::Object;
use crate::pauses::{Pauses, keep_testing};
use crate::store::{Error, Store};

/// Objects that are put at the same time, so that a slow store does not hold thousands of connections.
const AT_ONCE: usize = 64;

/// The way to the store.
#[derive(Debug)]
pub(crate) struct Uploads {
    pub(crate) store: Store,
    pub(crate) health: Health,
    metrics: Metrics,
    permits: Semaphore,
    /// The name of the small object, which `Library::running` looks for.
    heartbeat: String,
}

impl Uploads {
    pub(crate) fn new(store: Store, heartbeat: String, metrics: Metrics) -> Self {
        let (failures, failing) = (metrics.failures.clone(), metrics.failing.clone());
        Self {
            store,
            health: Health::new("the recordings' store", failures, failing),
            metrics,
            permits: Semaphore::new(AT_ONCE),
            heartbeat,
        }
    }

    /// Tries to store an object. The more tries have failed, the longer this one may take.
    pub(crate) async fn try_put(&self, object: &Object, failures: u32) -> Result<(), Error> {
        let _permit = self.permits.acquire().await;
        let (name, bytes) = (&object.name, object.bytes.clone());
        self.health
            .of(self.store.put(name, bytes, failures))
            .await?;
        self.metrics.stored.inc();
        self.metrics.stored_bytes.inc_by(object.bytes.len() as u64);
        Ok(())
    }

    /// Stores an object, however long it takes.
    pub(crate) async fn put(&self, object: &Object) {
        let mut pauses = Pauses::default();
        while self.try_put(object, pauses.failures()).await.is_err() {
            pauses.pause(&self.health).await;
        }
    }

    /// Puts a small object. It waits for no other.
    pub(crate) async fn test(&self) -> Result<(), Error> {
        let bytes = Bytes::from_static(b"podgate\n");
        self.health
            .of(self.store.put(&self.heartbeat, bytes, 0))
            .await
    }

    /// Puts the small object again and again, which also tells others that this frontdoor runs
    /// (`Library::running`). Does not return.
    pub(crate) async fn probe(&self) {
        keep_testing(&self.health, || self.test()).await;
    }
}
