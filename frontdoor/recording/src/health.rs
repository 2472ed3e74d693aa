//! Whether the store, or the spool's folder, takes what it is given: for metrics, readiness, and strict
//! recordings.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// What is counted. The caller registers it.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "docs/metrics.md has them")]
pub struct Metrics {
    pub active: Gauge,
    pub stored: Counter,
    pub stored_bytes: Counter,
    pub failures: Counter,
    pub lost_bytes: Counter,
    pub spool_bytes: Gauge,
    /// 1 while the store fails.
    pub failing: Gauge,
    /// Of the spool's folder.
    pub folder_bytes: Gauge,
    pub folder_failures: Counter,
    pub folder_failing: Gauge,
}

/// Since when the store or the folder fails, if it does. Until its first answer it counts as failing.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    /// Of what.
    name: &'static str,
    failing: watch::Sender<Option<Instant>>,
    /// Whether it has taken something ever, and whether the log has its failure.
    known: Arc<Known>,
    counts: (Counter, Gauge),
}

#[derive(Debug, Default)]
struct Known {
    reached: AtomicBool,
    told: AtomicBool,
}

impl Health {
    /// `failing` is 1 while it fails.
    pub(crate) fn new(name: &'static str, failures: Counter, failing: Gauge) -> Self {
        failing.set(1);
        Self {
            name,
            failing: watch::Sender::new(Some(Instant::now())),
            known: Arc::default(),
            counts: (failures, failing),
        }
    }

    /// It has taken something.
    pub(crate) fn fine(&self) {
        self.known.reached.store(true, Ordering::Relaxed);
        let failed = self
            .failing
            .send_if_modified(|since| since.take().is_some());
        if failed {
            self.counts.1.set(0);
        }
        if self.known.told.swap(false, Ordering::Relaxed) {
            tracing::info!("{} answers again", self.name);
        }
    }

    /// It has not taken something.
    pub(crate) fn failed(&self, error: &dyn Display) {
        self.counts.0.inc();
        self.counts.1.set(1);
        self.failing.send_if_modified(|since| {
            let first = since.is_none();
            since.get_or_insert_with(Instant::now);
            first
        });
        if !self.known.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "{} fails", self.name);
        }
    }

    /// Whether it has failed for as long as this, or since this process began.
    pub(crate) fn fails_for(&self, time: Duration) -> bool {
        let long = |since: Instant| since.elapsed() >= time;
        !self.known.reached.load(Ordering::Relaxed) || self.failing.borrow().is_some_and(long)
    }

    /// Waits until it fails.
    pub(crate) async fn fails(&self) {
        // The sender is ours, so it does not end.
        let _ = self.failing.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits until it has failed for as long as this.
    pub(crate) async fn failing_for(&self, time: Duration) {
        wait(self.failing.subscribe(), time).await;
    }

    /// Waits until it no longer fails.
    pub(crate) async fn recovers(&self) {
        let _ = self.failing.subscribe().wait_for(Option::is_none).await;
    }
}

/// Waits until something has been so since some time. If nobody can set it any more, never returns.
pub(crate) async fn wait(mut since: watch::Receiver<Option<Instant>>, time: Duration) {
    loop {
        let begun = *since.borrow_and_update();
        let changed = match begun {
            Some(begun) => tokio::select! {
                () = sleep_until(begun + time) => return,
                changed = since.changed() => changed,
            },
            None => since.changed().await,
        };
        if changed.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
