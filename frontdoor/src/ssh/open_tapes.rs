//! The recordings of a connection that are open now. What the connection does beside their sessions leaves a
//! marker in each: transfers of files and forwards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use podgate_recording::Marks;

/// There are no more of them than the connection has channels.
#[derive(Default)]
pub(super) struct OpenTapes {
    open: Mutex<Vec<(u64, Marks)>>,
    next: AtomicU64,
}

/// A recording is open until this is dropped.
pub(super) struct Entered<'a> {
    tapes: &'a OpenTapes,
    number: u64,
}

impl OpenTapes {
    pub(super) fn enter(&self, marks: Marks) -> Entered<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open().push((number, marks));
        Entered {
            tapes: self,
            number,
        }
    }

    /// Leaves a marker in each. It waits as their sessions do: where these must be recorded, for room.
    pub(super) async fn mark(&self, text: &str) {
        let open: Vec<_> = self.open().iter().map(|(_, marks)| marks.clone()).collect();
        join_all(open.iter().map(|marks| marks.mark(text))).await;
    }

    /// Nothing that holds it can panic halfway.
    fn open(&self) -> MutexGuard<'_, Vec<(u64, Marks)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.tapes
            .open()
            .retain(|(number, _)| *number != self.number);
    }
}
