//! Passes that were opened lately, so that not each request reads the store.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use podgate_identity::pass::Pass;

/// Passes that are kept; each has 64 KiB at most.
const PASSES: NonZeroUsize = NonZeroUsize::new(256).expect("it is not 0");

#[derive(Debug)]
pub(super) struct Known(Mutex<LruCache<String, Arc<Pass>>>);

impl Known {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(PASSES)))
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Pass>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(name).cloned()
    }

    pub(super) fn put(&self, name: String, pass: Arc<Pass>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.put(name, pass);
    }
}
