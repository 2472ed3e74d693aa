//! How much the bench measures.

use std::time::Duration;

/// How much is measured.
pub(crate) struct Sizes {
    /// Keystrokes, each way.
    pub(crate) keystrokes: usize,
    /// How often four downloads are started, each way, and how long keys are pressed beside them at most.
    pub(crate) loads: usize,
    pub(crate) load: Duration,
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
    loads: 5,
    load: Duration::from_secs(4),
    bytes: 512 << 20,
    downloads: 5,
    shells: 300,
    busy: Duration::from_secs(60),
};

pub(crate) const QUICK: Sizes = Sizes {
    keystrokes: 400,
    loads: 2,
    load: Duration::from_secs(2),
    bytes: 64 << 20,
    downloads: 2,
    shells: 50,
    busy: Duration::from_secs(10),
};
