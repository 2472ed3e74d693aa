//! Memory for what is neither stored nor in the spool's folder yet: bounded for each recording and for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::chunk::FULL;

/// One part in so many of the room, here and in the spool's folder, is for strict recordings alone: others cannot keep a
/// session out that must be recorded.
pub(crate) const STRICT_PART: u8 = 4;

/// What all recordings may hold.
#[derive(Debug)]
pub(crate) struct Spool {
    held: AtomicUsize,
    most: usize,
    most_each: usize,
    /// Told when there may be room again.
    pub(crate) freed: Notify,
}

impl Spool {
    pub(crate) fn new(most: usize, most_each: usize) -> Arc<Self> {
        let held = AtomicUsize::new(0);
        Arc::new(Self {
            held,
            most,
            most_each,
            freed: Notify::new(),
        })
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether half of it is used up: then text should not wait to be compressed.
    pub(crate) fn is_crowded(&self) -> bool {
        self.held() > self.most / 2
    }

    /// Whether there is no room for a recording that is not strict.
    pub(crate) fn is_full_for_others(&self) -> bool {
        self.held() + FULL > self.most_of_others()
    }

    /// Whether another strict recording has room for a chunk.
    pub(crate) fn has_room(&self) -> bool {
        self.held() + FULL <= self.most
    }

    fn most_of_others(&self) -> usize {
        self.most - self.most / usize::from(STRICT_PART)
    }

    /// A recording's share.
    pub(crate) fn share(self: &Arc<Self>, strict: bool) -> Share {
        Share {
            spool: Arc::clone(self),
            most: match strict {
                true => self.most,
                false => self.most_of_others(),
            },
            held: 0,
        }
    }
}

/// What one recording holds.
#[derive(Debug)]
pub(crate) struct Share {
    spool: Arc<Spool>,
    /// Bytes of all recordings, above which this one gets no more.
    most: usize,
    held: usize,
}

impl Share {
    /// Whether it may hold this much more.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.held + bytes <= self.spool.most_each && self.spool.held() + bytes <= self.most
    }

    /// Sets what it holds.
    pub(crate) fn set(&mut self, bytes: usize) {
        // The order keeps the sum from going below zero.
        self.spool.held.fetch_add(bytes, Ordering::Relaxed);
        self.spool.held.fetch_sub(self.held, Ordering::Relaxed);
        let less = bytes < self.held;
        self.held = bytes;
        if less {
            self.spool.freed.notify_waiters();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}
