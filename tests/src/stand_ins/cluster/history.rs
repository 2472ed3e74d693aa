//! The last changes of a store, bounded. A watch is resumed from them, and an older list is made from
//! them. A place counts every change since the beginning, whether it is kept or not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::object::{Change, Object};

/// kube-apiserver's watch cache keeps 100 to 102,400 changes of a kind, by how many come.
const KEPT: usize = 16_384;

/// A change; its resource version is its object's.
pub(crate) struct Event {
    pub(crate) change: Change,
    /// The object after the change. For a deleted pod, the last state, at the resource version of its
    /// end.
    pub(crate) object: Arc<Object>,
    /// As it was before.
    pub(crate) before: Option<Arc<Object>>,
}

/// The requested version is forgotten; later ones are known.
#[derive(Debug, thiserror::Error)]
#[error("too old resource version: {asked} ({oldest})")]
pub(crate) struct Expired {
    asked: u64,
    oldest: u64,
}

/// The changes that are kept.
pub(crate) struct History {
    events: VecDeque<Arc<Event>>,
    /// How many there were before the first that is kept.
    forgotten: u64,
    /// Every change after this resource version is kept.
    oldest: u64,
    keep: usize,
}

impl History {
    pub(super) fn from(resource_version: u64) -> Self {
        Self {
            events: VecDeque::new(),
            forgotten: 0,
            oldest: resource_version,
            keep: KEPT,
        }
    }

    pub(super) fn push(&mut self, event: Event) {
        self.events.push_back(Arc::new(event));
        self.trim(self.keep);
    }

    pub(super) fn keep(&mut self, keep: usize) {
        self.keep = keep;
        self.trim(keep);
    }

    pub(super) fn forget(&mut self, resource_version: u64) {
        self.trim(0);
        self.oldest = resource_version;
    }

    fn trim(&mut self, keep: usize) {
        while self.events.len() > keep
            && let Some(event) = self.events.pop_front()
        {
            self.oldest = event.object.resource_version;
            self.forgotten += 1;
        }
    }

    /// The place after the last change.
    pub(crate) fn end(&self) -> u64 {
        self.forgotten + self.events.len() as u64
    }

    /// The place after this resource version.
    pub(crate) fn after(&self, resource_version: u64) -> Result<u64, Expired> {
        self.hold(resource_version)?;
        let known = |event: &Arc<Event>| event.object.resource_version <= resource_version;
        Ok(self.forgotten + self.events.partition_point(known) as u64)
    }

    /// At most so many changes from this place on; `None` where some of them are forgotten.
    pub(crate) fn read(&self, place: u64, most: usize) -> Option<Vec<Arc<Event>>> {
        let skip = usize::try_from(place.checked_sub(self.forgotten)?).ok()?;
        Some(self.events.iter().skip(skip).take(most).cloned().collect())
    }

    /// How each pod that has changed since was at this resource version.
    pub(super) fn undo(&self, at: u64) -> Result<BTreeMap<&str, Option<&Arc<Object>>>, Expired> {
        self.hold(at)?;
        let mut undone = BTreeMap::new();
        let later = |event: &&Arc<Event>| event.object.resource_version > at;
        for event in self.events.iter().rev().take_while(later) {
            undone.insert(event.object.key.as_ref(), event.before.as_ref());
        }
        Ok(undone)
    }

    fn hold(&self, asked: u64) -> Result<(), Expired> {
        let oldest = self.oldest;
        if asked < oldest {
            return Err(Expired { asked, oldest });
        }
        Ok(())
    }
}
