//! Puts objects into the store, with growing pauses, until it takes them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::health::{Health, Metrics};
use crate::spool::Spool;
use crate::store::Store;

/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Objects that are put at the same time, so that a slow store does not hold thousands of connections.
const AT_ONCE: usize = 64;
/// The object that is put to see whether the store takes any.
const PROBE: &str = "probe";

/// What all recordings share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) spool: Arc<Spool>,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    permits: Semaphore,
}

/// An object that waits to be stored.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
}

impl Shared {
    pub(crate) fn new(store: Store, spool: Arc<Spool>, metrics: Metrics) -> Self {
        let health = Health::new(metrics.clone());
        let permits = Semaphore::new(AT_ONCE);
        Self {
            store,
            spool,
            health,
            metrics,
            permits,
        }
    }

    /// Stores an object, however long it takes.
    pub(crate) async fn put(&self, object: Object) {
        let (mut pause, longest) = PAUSES;
        loop {
            let put = async {
                let _permit = self.permits.acquire().await;
                self.store.put(&object.name, object.bytes.clone()).await
            };
            match put.await {
                Ok(()) => {
                    self.metrics.stored.inc();
                    self.metrics.stored_bytes.inc_by(object.bytes.len() as u64);
                    return self.health.fine();
                }
                Err(error) => self.health.failed(&error),
            }
            // Apart, so that recordings do not all come at once.
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = longest.min(pause * 2);
        }
    }

    /// Puts a small object at the start, and again while the store fails: no session may run that would
    /// notice when it answers again. Does not return.
    pub(crate) async fn probe(&self) {
        loop {
            let (name, bytes) = (PROBE.to_owned(), Bytes::from_static(b"podgate\n"));
            self.put(Object { name, bytes }).await;
            self.health.fails().await;
        }
    }
}
