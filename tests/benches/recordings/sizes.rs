//! How much the bench measures.

use std::time::Duration;

/// How much is measured.
pub(crate) struct Sizes {
    /// Keystrokes, each way.
    pub(crate) keystrokes: usize,
    /// Bytes of a download, and how many there are, each way.
    pub(crate) bytes: u64,
    pub(crate) downloads: usize,
    /// Idle shells, each way.
    pub(crate) shells: usize,
    /// How long a busy shell is recorded.
    pub(crate) busy: Duration,
}

pub(crate) const FULL: Sizes = Sizes {
    keystrokes: 4000,
    bytes: 512 << 20,
    downloads: 5,
    shells: 300,
    busy: Duration::from_secs(60),
};

pub(crate) const QUICK: Sizes = Sizes {
    keystrokes: 400,
    bytes: 64 << 20,
    downloads: 2,
    shells: 50,
    busy: Duration::from_secs(10),
};
