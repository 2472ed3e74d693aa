//! Values that many pods have alike, each held once: names of nodes and containers, labels. What no pod
//! has any more is let go of from time to time.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// A value that came since the last look may be let go of at the next.
const SWEEP: usize = 1024;

/// Values of one kind.
#[derive(Debug)]
pub(super) struct Pool<T: ?Sized> {
    values: HashSet<Arc<T>>,
    /// So many of them, and it is looked which are still in use.
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
    /// The value that all have.
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
