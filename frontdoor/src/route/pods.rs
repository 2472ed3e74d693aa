//! Pods of the whole cluster, followed by one watch and kept down to what routing needs. Until the
//! first list is whole, and while nobody watches, it knows nothing, and the API server is asked.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1 as core;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};

use super::{client, reduce};
use crate::target::Pod;

/// By namespace, then by name.
type Table = HashMap<String, HashMap<String, Arc<Pod>>>;

/// What is known of the cluster's pods.
#[derive(Debug, Default)]
pub struct Pods {
    /// None until the first list is whole.
    table: RwLock<Option<Table>>,
}

impl Pods {
    /// A pod, if the watch has seen it.
    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.as_ref()?.get(namespace)?.get(name).cloned()
    }

    /// Follows the cluster, for ever. An error is retried, ever later, and with jitter, so that an
    /// API server that comes back is not met by all at once.
    pub(super) async fn follow(&self, client: kube::Client) {
        let pods: Api<core::Pod> = Api::all(client);
        let events = watch(pods, watcher::Config::default()).backoff(client::backoff());
        let mut events = pin!(events);
        // Of a list that is not whole yet: the old one serves meanwhile.
        let mut coming = Table::new();
        loop {
            match events.try_next().await {
                Ok(Some(Event::Init)) => coming = Table::new(),
                Ok(Some(Event::InitApply(pod))) => put(&mut coming, pod),
                Ok(Some(Event::InitDone)) => {
                    let pods: usize = coming.values().map(HashMap::len).sum();
                    tracing::info!(pods, "the cluster's pods are known");
                    *self.write() = Some(std::mem::take(&mut coming));
                }
                Ok(Some(Event::Apply(pod))) => {
                    if let Some(table) = self.write().as_mut() {
                        put(table, pod);
                    }
                }
                Ok(Some(Event::Delete(pod))) => {
                    if let Some(table) = self.write().as_mut() {
                        take(table, &pod);
                    }
                }
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "watching the cluster's pods"),
            }
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Option<Table>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that is on no node is not known: it is looked up when it is asked for.
fn put(table: &mut Table, pod: core::Pod) {
    take(table, &pod);
    if let Some(pod) = reduce(pod) {
        let pods = table.entry(pod.namespace.clone()).or_default();
        pods.insert(pod.name.clone(), Arc::new(pod));
    }
}

fn take(table: &mut Table, pod: &core::Pod) {
    let (Some(namespace), Some(name)) = (&pod.metadata.namespace, &pod.metadata.name) else {
        return;
    };
    if let Some(pods) = table.get_mut(namespace) {
        pods.remove(name);
        if pods.is_empty() {
            table.remove(namespace);
        }
    }
}
