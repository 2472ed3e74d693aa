//! The pods of a made-up cluster, and the objects that run them. The stand-ins for the API server and
//! the kubelets read this one store on every request, so a change is seen everywhere at once.

mod builder;
pub(crate) mod history;
pub(crate) mod object;
pub(crate) mod others;
pub(crate) mod store;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

pub use builder::{PodBuilder, pod};
use object::{Object, key};
use others::Others;
use store::Store;

/// The pods, by namespace and name, and their history. Clones share one store. A pod is kept as its
/// JSON, so that a hundred thousand of them take little more than their bytes.
#[derive(Clone, Default)]
pub struct Cluster {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    store: Mutex<Store>,
    others: Mutex<Others>,
    /// The latest resource version, for those who watch.
    latest: watch::Sender<u64>,
}

impl Cluster {
    /// An empty cluster.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pod. One of the same namespace and name is modified if it has the same UID, else it
    /// is deleted first, as when the pod of a StatefulSet is recreated. Its resource version is
    /// the store's to give.
    pub fn add(&self, pod: impl Into<Pod>) {
        let pod = pod.into();
        self.change(|store| store.put(pod));
    }

    /// The same as [`add`](Self::add), for tests that mean to replace.
    pub fn replace(&self, pod: impl Into<Pod>) {
        self.add(pod);
    }

    /// Removes a pod and returns it.
    pub fn remove(&self, namespace: &str, name: &str) -> Option<Pod> {
        self.change(|store| store.remove(&key(namespace, name)))?
            .pod()
    }

    /// A copy of a pod.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Pod> {
        // It is parsed after the lock is given back.
        let found = self.store().get(&key(namespace, name))?;
        found.pod()
    }

    /// How many pods there are.
    pub fn len(&self) -> usize {
        self.store().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the history and goes one resource version on, as etcd does at a compaction: a watch or a
    /// list that was begun before is answered 410 from now on. Watches that stand and have had every
    /// change go on.
    pub fn compact(&self) {
        self.change(Store::compact);
    }

    /// How many changes are remembered from now on; the first are forgotten first.
    pub fn keep_history(&self, changes: usize) {
        self.change(|store| store.keep_history(changes));
    }

    /// Adds an object of another kind than a pod, or puts it in the place of the one there. Its
    /// resource version is the store's to give.
    pub fn put<K: Resource + Metadata<Ty = ObjectMeta> + Serialize>(&self, mut object: K) {
        let version = self.change(Store::next_version);
        let metadata = object.metadata_mut();
        metadata.resource_version = Some(version.to_string());
        let [namespace, name] =
            [&metadata.namespace, &metadata.name].map(|text| text.clone().unwrap_or_default());
        let key = [
            K::GROUP.to_owned(),
            K::URL_PATH_SEGMENT.to_owned(),
            namespace,
            name,
        ];
        // An object holds nothing that JSON has no words for.
        let object = serde_json::to_value(object).unwrap_or_default();
        self.others().insert(key, object);
    }

    /// An object of another kind than a pod.
    pub(crate) fn other(&self, key: [&str; 4]) -> Option<Value> {
        self.others().get(&key.map(str::to_owned)).cloned()
    }

    /// All pods of a node.
    pub(crate) fn on_node(&self, node: &str) -> Vec<Arc<Object>> {
        self.store().on_node(node)
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        let store = self.shared.store.lock();
        store.unwrap_or_else(PoisonError::into_inner)
    }

    fn others(&self) -> MutexGuard<'_, Others> {
        let others = self.shared.others.lock();
        others.unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes with every change of the pods.
    pub(crate) fn latest(&self) -> watch::Receiver<u64> {
        self.shared.latest.subscribe()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.store();
        let changed = change(&mut store);
        self.shared.latest.send_replace(store.resource_version());
        changed
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

/// The runtime's id (64 hex digits at a real one) of the *running* container of this name,
/// without the `containerd://` before it. Init and ephemeral containers count.
pub fn running_container(pod: &Pod, container: &str) -> Option<String> {
    let status = pod.status.as_ref()?;
    let lists = [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ];
    let status = lists
        .into_iter()
        .flatten()
        .flatten()
        .find(|one| one.name == container)?;
    status.state.as_ref()?.running.as_ref()?;
    let id = status.container_id.as_deref()?;
    Some(id.strip_prefix("containerd://").unwrap_or(id).to_owned())
}
