//! Bounds the output that is read although nobody takes it; see
//! [`held_up`](super::window::Window::held_up).

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::streams::Event;

/// The most bytes of one exec. The sockets on both sides of the connection hold less.
const MAX: usize = 16 * 1024 * 1024;
/// How many execs may hold such output at a time. Others wait for their clients to read.
static EXECS: Semaphore = Semaphore::const_new(4);

/// What one exec holds of it.
#[derive(Default)]
pub(super) struct Ahead {
    bytes: usize,
    place: Option<SemaphorePermit<'static>>,
}

impl Ahead {
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX
    }

    /// Waits for a place among the execs.
    pub(super) async fn place(&mut self) {
        if self.place.is_none() {
            // The semaphore is never closed.
            self.place = EXECS.acquire().await.ok();
        }
    }

    pub(super) fn hold(&mut self, event: &Event) {
        let bytes = match event {
            Event::Stdout(bytes) | Event::Stderr(bytes) => bytes.len(),
            Event::Ended(_) | Event::Exit(_) => 0,
        };
        self.bytes += size_of::<Event>() + bytes;
    }
}
