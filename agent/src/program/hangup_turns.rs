//! Hang-ups take turns, so that stuck ones of one container or namespace leave room for all others. A
//! hang-up waits for its container's share first, then for its namespace's, and then for the node. So
//! few of one tenant ever wait for the node.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::grant::Granted;

/// How many hang-ups are done at a time. A frontdoor that dies leaves many to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct HangUps {
    /// On this node.
    pub(crate) total: NonZeroU16,
    pub(crate) per_namespace: NonZeroU16,
    pub(crate) per_container: NonZeroU16,
}

impl Default for HangUps {
    fn default() -> Self {
        const {
            Self {
                total: NonZeroU16::new(48).expect("it is not 0"),
                per_namespace: NonZeroU16::new(16).expect("it is not 0"),
                per_container: NonZeroU16::new(4).expect("it is not 0"),
            }
        }
    }
}

/// Who has a share of the turns.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
enum Owner {
    Namespace(String),
    /// By its id.
    Container(String),
}

/// The turns of this node, for all cores.
#[derive(Debug)]
pub(super) struct HangUpTurns {
    most: HangUps,
    all: Semaphore,
    /// Only owners with hang-ups are here.
    shares: Mutex<HashMap<Owner, Arc<Semaphore>>>,
    /// Hang-ups that wait.
    waiting: Gauge,
}

/// A hang-up's turn, until it is dropped. Its parts are given back in the order of the fields.
#[derive(Debug)]
#[must_use]
pub(super) struct HangUpTurn<'a> {
    _all: Option<SemaphorePermit<'a>>,
    _namespace: Share<'a>,
    _container: Share<'a>,
}

/// A share of an owner, or the wait for it.
#[derive(Debug)]
struct Share<'a> {
    turns: &'a HangUpTurns,
    owner: Owner,
    permits: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

/// Counts a hang-up among those that wait.
struct Waits<'a>(&'a Gauge);

impl HangUpTurns {
    pub(super) fn new(most: HangUps, waiting: Gauge) -> Self {
        Self {
            most,
            all: Semaphore::new(most.total.get().into()),
            shares: Mutex::default(),
            waiting,
        }
    }

    /// Waits for a hang-up's turn.
    pub(super) async fn take(&self, granted: &Granted) -> HangUpTurn<'_> {
        let _waits = Waits::new(&self.waiting);
        let container = Owner::Container(granted.container_id.clone());
        let container = self.share(container, self.most.per_container).await;
        let namespace = Owner::Namespace(granted.namespace.clone());
        let namespace = self.share(namespace, self.most.per_namespace).await;
        HangUpTurn {
            // No semaphore here is ever closed. Without one, going on does no harm.
            _all: self.all.acquire().await.ok(),
            _namespace: namespace,
            _container: container,
        }
    }

    async fn share(&self, owner: Owner, most: NonZeroU16) -> Share<'_> {
        let permits = Arc::clone(
            self.lock()
                .entry(owner.clone())
                .or_insert_with(|| Arc::new(Semaphore::new(most.get().into()))),
        );
        let mut share = Share {
            turns: self,
            owner,
            permits,
            permit: None,
        };
        share.permit = Arc::clone(&share.permits).acquire_owned().await.ok();
        share
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, Arc<Semaphore>>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.permit.take();
        let mut shares = self.turns.lock();
        // The table and this share; whoever waits has a third.
        if Arc::strong_count(&self.permits) == 2 {
            shares.remove(&self.owner);
        }
    }
}

impl<'a> Waits<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const NODE: usize = 48;
    const NAMESPACE: usize = 16;
    const CONTAINER: usize = 4;

    fn granted(namespace: &str, container: &str) -> Granted {
        Granted {
            namespace: namespace.into(),
            pod: "web-0".into(),
            uid: "u1".into(),
            container: "main".into(),
            container_id: format!("containerd://{namespace}-{container}"),
        }
    }

    #[test]
    fn what_one_tenant_has_stuck_delays_nobody_else() {
        let turns = HangUpTurns::new(HangUps::default(), Gauge::default());
        let take = |namespace: &str, container: &str| {
            let granted = granted(namespace, container);
            turns.take(&granted).now_or_never()
        };
        // Stuck for good: of one container, of its namespace, of another namespace.
        let mut stuck: Vec<_> = (0..CONTAINER).map(|_| take("a", "0").unwrap()).collect();
        assert!(take("a", "0").is_none());
        for container in ["1", "2", "3"] {
            stuck.extend((0..CONTAINER).map(|_| take("a", container).unwrap()));
        }
        assert_eq!(stuck.len(), NAMESPACE);
        assert!(take("a", "4").is_none());
        for container in ["0", "1", "2", "3"] {
            stuck.extend((0..CONTAINER).map(|_| take("b", container).unwrap()));
        }
        assert!(take("c", "0").is_some());
        // A hang-up that waits, and one that has given up waiting, leave nothing behind.
        let waiting = granted("a", "0");
        let mut waits = Box::pin(turns.take(&waiting));
        assert!((&mut waits).now_or_never().is_none());
        assert_eq!(turns.waiting.get(), 1);
        drop(stuck);
        assert!((&mut waits).now_or_never().is_some());
        drop(waits);
        assert!(turns.lock().is_empty());
        assert_eq!(turns.waiting.get(), 0);
        assert_eq!(turns.all.available_permits(), NODE);
    }

    #[test]
    fn the_last_place_goes_to_each_in_turn() {
        let turns = HangUpTurns::new(HangUps::default(), Gauge::default());
        let tenants = ["a", "b", "c"];
        let busy: Vec<_> = tenants
            .into_iter()
            .flat_map(|namespace| (0..NAMESPACE / CONTAINER).map(move |n| (namespace, n)))
            .flat_map(|(namespace, n)| {
                let granted = granted(namespace, &n.to_string());
                let take = |_| turns.take(&granted).now_or_never().unwrap();
                (0..CONTAINER).map(take).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(busy.len(), NODE);
        // Another tenant waits for the next turn that anybody gives back.
        let fourth = granted("d", "0");
        let mut fourth = Box::pin(turns.take(&fourth));
        assert!((&mut fourth).now_or_never().is_none());
        drop(busy);
        assert!((&mut fourth).now_or_never().is_some());
    }
}
