//! The pods of the whole cluster, followed by one watch. A pod is found as soon as the watch has seen
//! it. Only once the first list is complete is it known which pods do not exist. A later list is merged
//! into the table, so the old entries serve meanwhile and there is no second table.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::runtime::watcher::Event;
use tokio_util::sync::CancellationToken;

use super::pod_object::PodObject;
use super::pod_watch;
use super::record::{ByName, Pools, Record};
use crate::config::ClusterBounds;
use crate::login_name::Selector;

/// By namespace, then by name.
type Table = BTreeMap<Box<str>, HashSet<ByName>>;

/// The known pods of the cluster. All cores read them. One follower writes them, and blocks the readers
/// only while it puts in what it has prepared.
#[derive(Debug, Default)]
pub(super) struct Pods {
    table: RwLock<Table>,
    /// Cancelled once the first list is whole.
    filled: CancellationToken,
}

/// What only the follower knows.
#[derive(Debug)]
struct Follower {
    bounds: ClusterBounds,
    pools: Pools,
    /// The number of lists so far.
    list: u32,
    /// The number of pods in the table.
    pods: usize,
}

impl Follower {
    fn new(bounds: ClusterBounds) -> Self {
        Self {
            bounds,
            pools: Pools::default(),
            list: 0,
            pods: 0,
        }
    }
}

impl Pods {
    /// True once the first list is complete: a missing pod then does not exist, unless it is brand new.
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

    /// Whether a namespace has pods that are too large to be kept whole. It is not known here which
    /// selectors select those.
    pub(super) fn has_parts(&self, namespace: &str) -> bool {
        let table = self.read();
        let mut pods = table.get(namespace).into_iter().flatten();
        pods.any(|pod| !pod.0.is_whole())
    }

    /// The pods of a namespace that a selector selects, among those that are kept whole; `None` until
    /// the first list is complete.
    pub(super) fn select(&self, namespace: &str, selector: &Selector) -> Option<Vec<Arc<Record>>> {
        let table = self.is_filled().then(|| self.read())?;
        let pods = table.get(namespace).into_iter().flatten();
        let selected = pods.filter(|pod| pod.0.is_of(selector));
        Some(selected.map(|pod| Arc::clone(&pod.0)).collect())
    }

    /// The namespaces that have pods; `None` until the first list is complete.
    pub(super) fn namespaces(&self) -> Option<Vec<String>> {
        let table = self.is_filled().then(|| self.read())?;
        Some(table.keys().map(|name| name.to_string()).collect())
    }

    /// Calls `look` for each pod of a namespace, in any order.
    pub(super) fn each(&self, namespace: &str, mut look: impl FnMut(&Record)) {
        let table = self.read();
        let pods = table.get(namespace).into_iter().flatten();
        pods.for_each(|pod| look(&pod.0));
    }

    /// The pods of a namespace, sorted by name.
    pub(super) fn of(&self, namespace: &str) -> Vec<Arc<Record>> {
        let table = self.read();
        let pods = table.get(namespace).into_iter().flatten();
        let mut pods: Vec<_> = pods.map(|pod| Arc::clone(&pod.0)).collect();
        drop(table);
        pods.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        pods
    }

    /// Follows the cluster, forever, and reports the number of pods.
    pub(super) async fn follow(
        &self,
        client: kube::Client,
        bounds: ClusterBounds,
        count: impl Fn(usize),
    ) {
        let mut follower = Follower::new(bounds);
        pod_watch::follow(client, |event| count(self.take(event, &mut follower))).await;
    }

    /// Applies one event, and returns the number of pods.
    fn take(&self, event: Event<PodObject>, follower: &mut Follower) -> usize {
        match event {
            Event::Init => follower.list += 1,
            Event::InitApply(seen) | Event::Apply(seen) => {
                let (list, pools) = (follower.list, &mut follower.pools);
                let record = Record::new(seen.pod, list, pools, &follower.bounds);
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

    /// Returns whether the pod is new.
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

    /// Returns whether the pod was there.
    fn remove(&self, seen: &PodObject) -> bool {
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

    /// Drops the pods that the last list did not have, and returns how many are left. The remaining
    /// pods of a namespace are collected while others can read, and then put in at once.
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
