//! Values that many pods share, each held once: names of nodes and containers, labels. Values that no
//! pod has any more are dropped from time to time.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// After this many new values, those that are not in use are dropped.
const SWEEP: usize = 1024;

/// Values of one kind.
#[derive(Debug)]
pub(super) struct Pool<T: ?Sized> {
    values: HashSet<Arc<T>>,
    /// The number of values at which those that are not in use are dropped.
    full: usize,
}

impl<T: ?Sized> Default for Pool<T>
where
    Arc<T>: Eq + Hash,
{
    fn default() -> Self {
        Self {
            values: HashSet::new(),
            full: SWEEP,
        }
    }
}

impl<T: Eq + Hash + ?Sized> Pool<T> {
    /// The shared copy of a value.
    pub(super) fn share<'a>(&mut self, value: &'a T) -> Arc<T>
    where
        Arc<T>: From<&'a T> + Borrow<T>,
    {
        if let Some(known) = self.values.get(value) {
            return Arc::clone(known);
        }
        if self.values.len() >= self.full {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.full = 2 * self.values.len() + SWEEP;
        }
        let value = Arc::from(value);
        self.values.insert(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_held_once_and_as_long_as_it_is_used() {
        let mut pool = Pool::<str>::default();
        let kept = pool.share("kept");
        assert!(Arc::ptr_eq(&kept, &pool.share("kept")));
        for at in 0..10 * SWEEP {
            pool.share(&at.to_string());
            assert!(pool.values.len() <= SWEEP + 2, "{at}");
        }
        assert!(Arc::ptr_eq(&kept, &pool.share("kept")));
    }
}
