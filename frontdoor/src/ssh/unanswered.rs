//! Requests of a client about listeners that are not done yet. As under sshd, a session finds the listeners
//! that were asked for before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(super) struct Unanswered {
    asked: AtomicU64,
    done: AtomicU64,
    one_done: Notify,
}

/// One request, which is done once this is dropped.
#[derive(Debug)]
pub(super) struct Pending(Arc<Unanswered>);

impl Unanswered {
    pub(super) fn ask(self: &Arc<Self>) -> Pending {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Pending(Arc::clone(self))
    }

    /// Waits until as many are done as were asked until now.
    pub(super) async fn settled(&self) {
        let asked = self.asked.load(Ordering::Relaxed);
        loop {
            let one_done = self.one_done.notified();
            if self.done.load(Ordering::Acquire) >= asked {
                return;
            }
            one_done.await;
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.done.fetch_add(1, Ordering::Release);
        self.0.one_done.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_asked_later_is_not_waited_for() {
        let all = Arc::new(Unanswered::default());
        all.settled().await;
        let (first, second) = (all.ask(), all.ask());
        let mut settled = Box::pin(all.settled());
        assert!(settled.as_mut().now_or_never().is_none());
        let _third = all.ask();
        drop(first);
        assert!(settled.as_mut().now_or_never().is_none());
        drop(second);
        assert!(settled.as_mut().now_or_never().is_some());
        assert!(all.settled().now_or_never().is_none());
    }
}
