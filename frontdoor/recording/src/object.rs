//! An object on its way to the store.

use bytes::Bytes;

/// An object that waits to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) name: String,
    /// Objects of the same lane are stored in their order. Each recording has one.
    pub(crate) lane: u64,
    /// Whether it is of a recording that waits for room, and so may use all of it.
    pub(crate) strict: bool,
    pub(crate) bytes: Bytes,
}
