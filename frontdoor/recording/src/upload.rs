//! Puts objects into the store, with growing pauses, until it takes them.

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::health::{Health, Metrics};
use crate::object::Object;
use crate::pauses::pause;
use crate::store::{Error, Store};

/// Objects that are put at the same time, so that a slow store does not hold thousands of connections.
const AT_ONCE: usize = 64;
/// The object that is put to see whether the store takes any.
const PROBE: &str = "probe";

/// The way to the store.
#[derive(Debug)]
pub(crate) struct Uploads {
    pub(crate) store: Store,
    pub(crate) health: Health,
    metrics: Metrics,
    permits: Semaphore,
}

impl Uploads {
    pub(crate) fn new(store: Store, metrics: Metrics) -> Self {
        let (failures, failing) = (metrics.failures.clone(), metrics.failing.clone());
        Self {
            store,
            health: Health::new("the recordings' store", failures, failing),
            metrics,
            permits: Semaphore::new(AT_ONCE),
        }
    }

    /// Tries to store an object.
    pub(crate) async fn try_put(&self, object: &Object) -> Result<(), Error> {
        let put = async {
            let _permit = self.permits.acquire().await;
            self.store.put(&object.name, object.bytes.clone()).await
        };
        let put = put.await;
        match &put {
            Ok(()) => {
                self.metrics.stored.inc();
                self.metrics.stored_bytes.inc_by(object.bytes.len() as u64);
                self.health.fine();
            }
            Err(error) => self.health.failed(error),
        }
        put
    }

    /// Stores an object, however long it takes.
    pub(crate) async fn put(&self, object: &Object) {
        let mut failures = 0;
        while self.try_put(object).await.is_err() {
            failures += 1;
            pause(failures).await;
        }
    }

    /// Puts a small object at the start, and again while the store fails: no session may run that would
    /// notice when it answers again. Does not return.
    pub(crate) async fn probe(&self) {
        let probe = Object {
            name: PROBE.to_owned(),
            lane: 0,
            bytes: Bytes::from_static(b"podgate\n"),
        };
        loop {
            self.put(&probe).await;
            self.health.fails().await;
        }
    }
}
