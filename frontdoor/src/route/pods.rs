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
use tokio_util::sync::CancellationToken;

use super::record::{ByName, Pools, Record};
use super::wire::Seen;
use crate::kubernetes::backoff;
use crate::target::Selector;

/// Pods of a page of the list: what is parsed at once is the most that a list takes in memory.
const PAGE: u32 = 250;
/// Seconds until a watch is begun anew where it ended; one that says nothing for longer is dead.
const WATCH: u32 = 60;

/// By namespace, then by name.
type Table = BTreeMap<Box<str>, HashSet<ByName>>;

/// What is known of the cluster's pods.
#[derive(Debug, Default)]
pub(super) struct Pods {
    known: RwLock<Known>,
    /// Cancelled once the first list is whole.
    filled: CancellationToken,
}

#[derive(Debug, Default)]
struct Known {
    table: Table,
    pods: usize,
    /// Lists begun.
    list: u32,
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
        let known = self.read();
        let pod = known.table.get(namespace)?.get(name)?;
        Some(Arc::clone(&pod.0))
    }

    /// The pods of a namespace that a selector selects; `None` where they are not known.
    pub(super) fn select(&self, namespace: &str, selector: &Selector) -> Option<Vec<Arc<Record>>> {
        let known = self.is_filled().then(|| self.read())?;
        let pods = known.table.get(namespace).into_iter().flatten();
        let selected = pods.filter(|pod| pod.0.is_of(selector));
        Some(selected.map(|pod| Arc::clone(&pod.0)).collect())
    }

    /// The namespaces that have pods; `None` where they are not known.
    pub(super) fn namespaces(&self) -> Option<Vec<String>> {
        let known = self.is_filled().then(|| self.read())?;
        Some(known.table.keys().map(|name| name.to_string()).collect())
    }

    /// Looks at a namespace's pods, in any order.
    pub(super) fn each(&self, namespace: &str, mut look: impl FnMut(&Record)) {
        let known = self.read();
        let pods = known.table.get(namespace).into_iter().flatten();
        pods.for_each(|pod| look(&pod.0));
    }

    /// A namespace's pods, by name.
    pub(super) fn of(&self, namespace: &str) -> Vec<Arc<Record>> {
        let known = self.read();
        let pods = known.table.get(namespace).into_iter().flatten();
        let mut pods: Vec<_> = pods.map(|pod| Arc::clone(&pod.0)).collect();
        drop(known);
        pods.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        pods
    }

    /// Follows the cluster, for ever, and says how many pods there are.
    pub(super) async fn follow(&self, client: kube::Client, count: impl Fn(usize)) {
        let config = watcher::Config::default().page_size(PAGE).timeout(WATCH);
        let events = watcher::watcher(Api::<Seen>::all(client), config);
        let mut events = pin!(events.backoff(backoff()));
        let mut pools = Pools::default();
        loop {
            match events.try_next().await {
                Ok(Some(event)) => count(self.take(event, &mut pools)),
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "watching the cluster's pods"),
            }
        }
    }

    /// Takes one event, and says how many pods there are.
    fn take(&self, event: Event<Seen>, pools: &mut Pools) -> usize {
        let mut known = self.write();
        match event {
            Event::Init => known.list += 1,
            Event::InitApply(seen) | Event::Apply(seen) => known.put(seen, pools),
            Event::Delete(seen) => known.remove(&seen),
            Event::InitDone => {
                known.sweep();
                if !self.is_filled() {
                    tracing::info!(pods = known.pods, "the cluster's pods are known");
                    self.filled.cancel();
                }
            }
        }
        known.pods
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn put(&mut self, seen: Seen, pools: &mut Pools) {
        let Some((namespace, record)) = Record::new(seen.pod, self.list, pools) else {
            return;
        };
        let record = ByName(Arc::new(record));
        let known = match self.table.get_mut(namespace.as_str()) {
            Some(pods) => pods.replace(record),
            None => {
                let pods = HashSet::from([record]);
                self.table.insert(namespace.into(), pods);
                None
            }
        };
        self.pods += usize::from(known.is_none());
    }

    fn remove(&mut self, seen: &Seen) {
        let metadata = &seen.pod.metadata;
        let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) else {
            return;
        };
        if let Some(pods) = self.table.get_mut(namespace.as_str()) {
            self.pods -= usize::from(pods.remove(name.as_str()));
            if pods.is_empty() {
                self.table.remove(namespace.as_str());
            }
        }
    }

    /// Lets go of what the last list did not have.
    fn sweep(&mut self) {
        let list = self.list;
        self.table.retain(|_, pods| {
            pods.retain(|pod| pod.0.list == list);
            pods.shrink_to_fit();
            !pods.is_empty()
        });
        self.pods = self.table.values().map(HashSet::len).sum();
    }
}

#[cfg(test)]
mod tests;
