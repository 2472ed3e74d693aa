//! What the tests ask of a store.

/// One change: `added`, `modified` or `deleted`, the key, and the revision.
pub(super) type Change = (&'static str, String, u64);

/// Why a revision cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is forgotten.
    Compacted,
    /// It is still to come.
    Future,
}

/// A store of keys (`namespace/name`) and values, empty at first.
pub(super) trait Store: Sized {
    async fn start() -> Self;

    async fn put(&self, key: &str, value: &str);

    async fn delete(&self, key: &str);

    /// The latest.
    async fn revision(&self) -> u64;

    /// Keys and values at a revision, in the store's order.
    async fn at(&self, revision: u64) -> Result<Vec<(String, String)>, Unreadable>;

    /// The first so many changes after a revision.
    async fn after(&self, revision: u64, count: usize) -> Result<Vec<Change>, Unreadable>;

    /// Forgets what was before the latest revision, at a revision of its own.
    async fn compact(&self);
}
