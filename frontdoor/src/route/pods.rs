//! Pods of the whole cluster, followed by one watch. What it has seen is found from the first pod on;
//! what is not here, and which pods there are, is known once the first list is whole. A later list is put
//! over what is known, so that what is known serves meanwhile and no second table is held.

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures_util::TryStreamExt;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use podgate_identity::kubernetes::backoff;
use tokio_util::sync::CancellationToken;

use super::record::{ByName, Pools, Record};
use super::wire::Seen;
use crate::login_name::Selector;

/// Pods of a page of the list: what is parsed at once is the most that a list takes in memory.
const PAGE: u32 = 250;
/// Seconds until a watch is begun anew where it ended; one that says nothing for longer is dead.
const WATCH: u32 = 60;

/// By namespace, then by name.
type Table = BTreeMap<Box<str>, HashSet<ByName>>;

/// What is known of the cluster's pods. All cores read it; one follower writes, and keeps them waiting
/// only while it puts what it has made ready.
#[derive(Debug, Default)]
pub(super) struct Pods {
    table: RwLock<Table>,
    /// Cancelled once the first list is whole.
    filled: CancellationToken,
}

/// What the one that writes knows beside.
#[derive(Debug, Default)]
struct Follower {
    pools: Pools,
    /// Lists begun.
    list: u32,
    /// In the table.
    pods: usize,
}

impl Pods {
    /// Whether what is not here is nowhere, but for what has just begun.
    fn is_filled(&self) -> bool {
        self.filled.is_cancelled()
    }

    /// Cancelled once all pods are known.
    pub(super) fn filled(&self) -> CancellationToken {
        self.filled.clone()
    }

    /// A pod, if the watch has seen it.
    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<Arc<Record>> {
        let table = self.read();
        let pod = table.get(namespace)?.get(name)?;
        Some(Arc::clone(&pod.0))
    }

    /// The pods of a namespace that a selector selects; `None` where they are not known.
    pub(super) fn select(&self, namespace: &str, selector: &Selector) -> Option<Vec<Arc<Record>>> {
        let table = self.is_filled().then(|| self.read())?;
        let pods = table.get(namespace).into_iter().flatten();
        let selected = pods.filter(|pod| pod.0.is_of(selector));
        Some(selected.map(|pod| Arc::clone(&pod.0)).collect())
    }

    /// The namespaces that have pods; `None` where they are not known.
    pub(super) fn namespaces(&self) -> Option<Vec<String>> {
        let table = self.is_filled().then(|| self.read())?;
        Some(table.keys().map(|name| name.to_string()).collect())
    }

    /// Looks at a namespace's pods, in any order.
    pub(super) fn each(&self, namespace: &str, mut look: impl FnMut(&Record)) {
        let table = self.read();
        let pods = table.get(namespace).into_iter().flatten();
        pods.for_each(|pod| look(&pod.0));
    }

    /// A namespace's pods, by name.
    pub(super) fn of(&self, namespace: &str) -> Vec<Arc<Record>> {
        let table = self.read();
        let pods = table.get(namespace).into_iter().flatten();
        let mut pods: Vec<_> = pods.map(|pod| Arc::clone(&pod.0)).collect();
        drop(table);
        pods.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        pods
    }

    /// Follows the cluster, for ever, and says how many pods there are.
    pub(super) async fn follow(&self, client: kube::Client, count: impl Fn(usize)) {
        let config = watcher::Config::default().page_size(PAGE).timeout(WATCH);
        let events = watcher::watcher(Api::<Seen>::all(client), config);
        let mut events = pin!(events.backoff(backoff()));
        let mut follower = Follower::default();
        loop {
            match events.try_next().await {
                Ok(Some(event)) => count(self.take(event, &mut follower)),
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "watching the cluster's pods"),
            }
        }
    }

    /// Takes one event, and says how many pods there are.
    fn take(&self, event: Event<Seen>, follower: &mut Follower) -> usize {
        match event {
            Event::Init => follower.list += 1,
            Event::InitApply(seen) | Event::Apply(seen) => {
                let record = Record::new(seen.pod, follower.list, &mut follower.pools);
                if let Some((namespace, record)) = record {
                    follower.pods += usize::from(self.put(namespace, record));
                }
            }
            Event::Delete(seen) => follower.pods -= usize::from(self.remove(&seen)),
            Event::InitDone => {
                follower.pods = self.sweep(follower.list);
                if !self.is_filled() {
                    tracing::info!(pods = follower.pods, "the cluster's pods are known");
                    self.filled.cancel();
                }
            }
        }
        follower.pods
    }

    /// Whether it was not there.
    fn put(&self, namespace: String, record: Record) -> bool {
        let record = ByName(Arc::new(record));
        let mut table = self.write();
        match table.get_mut(namespace.as_str()) {
            Some(pods) => pods.replace(record).is_none(),
            None => {
                let pods = HashSet::from([record]);
                table.insert(namespace.into(), pods);
                true
            }
        }
    }

    /// Whether it was there.
    fn remove(&self, seen: &Seen) -> bool {
        let metadata = &seen.pod.metadata;
        let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) else {
            return false;
        };
        let mut table = self.write();
        let Some(pods) = table.get_mut(namespace.as_str()) else {
            return false;
        };
        let removed = pods.remove(name.as_str());
        if pods.is_empty() {
            table.remove(namespace.as_str());
        }
        removed
    }

    /// Lets go of what the last list did not have, and says how many pods are left. What stays of a
    /// namespace is gathered beside those who read, and then put in one piece.
    fn sweep(&self, list: u32) -> usize {
        let namespaces: Vec<_> = self.read().keys().cloned().collect();
        let mut left = 0;
        for namespace in namespaces {
            let mut stay: HashSet<_> = {
                let table = self.read();
                let pods = table.get(&namespace).into_iter().flatten();
                pods.filter(|pod| pod.0.list == list).cloned().collect()
            };
            stay.shrink_to_fit();
            left += stay.len();
            let _gone = match stay.is_empty() {
                true => self.write().remove(&namespace),
                false => self.write().insert(namespace, stay),
            };
        }
        left
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
