//! Pods by key and by node, under one growing resource version, as in etcd: at every resource version
//! that the history reaches, not only at the last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::history::{Event, Expired, History};
use super::object::{Change, Object, key};

/// The pods of a cluster.
pub(crate) struct Store {
    pods: BTreeMap<Arc<str>, Arc<Object>>,
    nodes: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    resource_version: u64,
    history: History,
}

impl Default for Store {
    fn default() -> Self {
        // 0 is what clients say for "any".
        let resource_version = 1;
        Self {
            pods: BTreeMap::new(),
            nodes: HashMap::new(),
            resource_version,
            history: History::from(resource_version),
        }
    }
}

impl Store {
    pub(crate) fn resource_version(&self) -> u64 {
        self.resource_version
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.pods.get(key).cloned()
    }

    pub(super) fn on_node(&self, node: &str) -> Vec<Arc<Object>> {
        let keys = self.nodes.get(node).into_iter().flatten();
        keys.filter_map(|key| self.get(key)).collect()
    }

    pub(super) fn put(&mut self, pod: Pod) {
        let metadata = &pod.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let key = key(namespace, metadata.name.as_deref().unwrap_or_default());
        if let Some(there) = self.pods.get(key.as_str())
            && there.uid.as_deref() != metadata.uid.as_deref()
        {
            self.remove(&key);
        }
        let before = self.pods.get(key.as_str()).cloned();
        let (change, key) = match &before {
            Some(before) => (Change::Modified, before.key.clone()),
            None => (Change::Added, Arc::from(key)),
        };
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let node = node.map(|node| match self.nodes.get_key_value(node) {
            Some((known, _)) => known.clone(),
            None => Arc::from(node),
        });
        self.resource_version += 1;
        let object = Object::new(pod, key.clone(), node, self.resource_version, change);
        let object = Arc::new(object);
        if let Some(before) = &before {
            self.leave(before);
        }
        if let Some(node) = &object.node {
            self.nodes
                .entry(node.clone())
                .or_default()
                .insert(key.clone());
        }
        self.pods.insert(key, object.clone());
        self.history.push(Event {
            change,
            object,
            before,
        });
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Arc<Object>> {
        let before = self.pods.remove(key)?;
        self.leave(&before);
        self.resource_version += 1;
        self.history.push(Event {
            change: Change::Deleted,
            object: Arc::new(before.deleted(self.resource_version)),
            before: Some(before.clone()),
        });
        Some(before)
    }

    fn leave(&mut self, object: &Object) {
        let Some(node) = object.node.as_ref() else {
            return;
        };
        if let Some(keys) = self.nodes.get_mut(node) {
            keys.remove(&object.key);
            if keys.is_empty() {
                self.nodes.remove(node);
            }
        }
    }

    /// For an object that is not a pod.
    pub(super) fn next_version(&mut self) -> u64 {
        self.resource_version += 1;
        self.resource_version
    }

    pub(super) fn compact(&mut self) {
        self.resource_version += 1;
        self.history.forget(self.resource_version);
    }

    pub(super) fn keep_history(&mut self, changes: usize) {
        self.history.keep(changes);
    }

    /// The pods as they were at a resource version, in order, from a key on.
    pub(crate) fn pods_at<'a>(
        &'a self,
        resource_version: u64,
        from: &'a str,
    ) -> Result<impl Iterator<Item = &'a Arc<Object>> + use<'a>, Expired> {
        let mut undone = self.history.undo(resource_version)?;
        let mut then = undone.split_off(from).into_iter().peekable();
        let from = (Bound::Included(from), Bound::Unbounded);
        let mut now = self.pods.range::<str, _>(from).peekable();
        Ok(std::iter::from_fn(move || {
            loop {
                let here = now.peek().map(|(key, _)| key.as_ref());
                match (here, then.peek().map(|(key, _)| *key)) {
                    (_, None) => return now.next().map(|(_, object)| object),
                    (Some(here), Some(changed)) if here < changed => {
                        return now.next().map(|(_, object)| object);
                    }
                    (here, changed) => {
                        if here == changed {
                            now.next();
                        }
                        // None if there was no such pod then.
                        if let Some((_, Some(object))) = then.next() {
                            return Some(object);
                        }
                    }
                }
            }
        }))
    }
}
