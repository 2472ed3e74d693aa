//! Whether the store, or the spool's folder, takes what it is given: for metrics, readiness, and strict
//! recordings. A call that hangs is a failure, too, before it ends.

use std::fmt::Display;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long a call may take before it counts as failing.
const LATE: Duration = Duration::from_secs(if cfg!(test) { 5 } else { 10 });
/// How often the log is told of failures: some object may be refused again and again.
const TOLD: Duration = Duration::from_mins(10);

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
    /// Whether it has taken something ever, and what the log was told of last.
    known: Arc<Known>,
    counts: (Counter, Gauge),
}

#[derive(Debug, Default)]
struct Known {
    reached: AtomicBool,
    told: Mutex<Option<Told>>,
}

/// A failure that the log has.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    /// Whether it has its end, too.
    over: bool,
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
        self.failing.send_if_modified(|since| {
            self.counts.1.set(0);
            since.take().is_some()
        });
        if let Some(told) = &mut *self.told()
            && !std::mem::replace(&mut told.over, true)
        {
            tracing::info!("{} answers again", self.name);
        }
    }

    /// It has not taken something.
    fn failed(&self, error: &dyn Display) {
        self.counts.0.inc();
        self.fails_since(Instant::now(), error);
    }

    /// Waits for a call that gives it something to keep, and notes how it ended, or before that that it is
    /// late.
    pub(crate) async fn of<T, E: Display>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.of_other(call).await.inspect(|_| self.fine())
    }

    /// The same, but success does not count as recovery: a full disk can still be read.
    pub(crate) async fn of_other<T, E: Display>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let mut call = pin!(call);
        let done = match timeout_at(begun + LATE, &mut call).await {
            Ok(done) => done,
            Err(_) => {
                self.fails_since(begun, &format_args!("no answer for {LATE:?}"));
                call.await
            }
        };
        done.inspect_err(|error| self.failed(error))
    }

    fn fails_since(&self, begun: Instant, error: &dyn Display) {
        self.failing.send_if_modified(|since| {
            self.counts.1.set(1);
            let first = since.is_none();
            since.get_or_insert(begun);
            first
        });
        let mut told = self.told();
        if told.is_none_or(|told| told.at.elapsed() >= TOLD) {
            let at = Instant::now();
            *told = Some(Told { at, over: false });
            tracing::warn!(%error, "{} fails", self.name);
        }
    }

    /// Nothing that holds it can panic halfway.
    fn told(&self) -> MutexGuard<'_, Option<Told>> {
        let told = self.known.told.lock();
        told.unwrap_or_else(PoisonError::into_inner)
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
        so_for(self.failing.subscribe(), time).await;
    }

    /// Waits until it no longer fails.
    pub(crate) async fn recovers(&self) {
        let _ = self.failing.subscribe().wait_for(Option::is_none).await;
    }
}

/// Waits until the value has been there for as long as this, or its sender is gone.
pub(crate) async fn so_for(mut since: watch::Receiver<Option<Instant>>, time: Duration) {
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
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> (Health, Gauge) {
        let failing = Gauge::default();
        (
            Health::new("it", Counter::default(), failing.clone()),
            failing,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_fails_since_its_beginning() {
        let (health, failing) = health();
        health.fine();
        let hangs = health.of(std::future::pending::<Result<(), &str>>());
        let both = async {
            tokio::select! {
                _ = hangs => unreachable!(),
                () = health.failing_for(LATE * 2) => {}
            }
        };
        let begun = Instant::now();
        both.await;
        assert_eq!(begun.elapsed().as_secs(), LATE.as_secs() * 2);
        assert!(health.fails_for(LATE * 2) && failing.get() == 1);
        // Another call is taken.
        assert_eq!(health.of(async { Ok::<_, &str>(1) }).await, Ok(1));
        assert!(!health.fails_for(Duration::ZERO) && failing.get() == 0);
    }
}
