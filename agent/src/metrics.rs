//! The agent's metrics, registered once. Their names are stable and listed in the README.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use podgate_process::enrolment::EnrolmentEvent;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio::runtime::Handle;

/// All the agent counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Tasks of all cores; told when it is asked for.
    tasks: Gauge,
    runtimes: OnceLock<Vec<Handle>>,
    /// Calls of the signer for a certificate, by outcome.
    pub enrolments: Family<Outcome, Counter>,
    /// When the certificate from the signer expires.
    certificate_expiry: Gauge,
    /// Sessions that run now.
    pub sessions_active: Gauge,
    /// Sessions ended, by how.
    pub sessions: Family<Outcome, Counter>,
    /// Bytes of sessions.
    pub bytes: Bytes,
    /// From the request to the running program.
    pub start_seconds: Histogram,
    /// Hang-ups, by what came of them.
    pub hangups: Family<Outcome, Counter>,
    /// Events for the audit log, by what became of them.
    pub audit_events: Family<Outcome, Counter>,
    /// Connections refused before any session, by why.
    pub refused_peers: Family<Outcome, Counter>,
}

/// Bytes of sessions.
#[derive(Debug, Clone, Default)]
pub struct Bytes {
    /// To processes.
    pub input: Counter,
    /// From processes.
    pub output: Counter,
}

/// Bytes of one session, which count among all.
#[derive(Debug)]
pub struct Moved<'a> {
    all: &'a Bytes,
    input: AtomicU64,
    output: AtomicU64,
}

impl<'a> Moved<'a> {
    /// None yet.
    pub fn new(all: &'a Bytes) -> Self {
        let (input, output) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { all, input, output }
    }

    /// To its process.
    pub fn input(&self, bytes: usize) {
        self.all.input.inc_by(bytes as u64);
        self.input.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// From its process.
    pub fn output(&self, bytes: usize) {
        self.all.output.inc_by(bytes as u64);
        self.output.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Both, so far.
    pub fn both(&self) -> (u64, u64) {
        let load = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed);
        (load(&self.input), load(&self.output))
    }
}

/// The label `outcome`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Outcome {
    /// A fixed word.
    pub outcome: &'static str,
}

impl From<&'static str> for Outcome {
    fn from(outcome: &'static str) -> Self {
        Self { outcome }
    }
}

impl Metrics {
    /// Makes and registers them.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("podgate_agent");
        let this = Self {
            enrolments: Family::default(),
            certificate_expiry: Gauge::default(),
            sessions_active: Gauge::default(),
            sessions: Family::default(),
            bytes: Bytes::default(),
            start_seconds: Histogram::new(exponential_buckets(0.005, 2.0, 12)),
            hangups: Family::default(),
            audit_events: Family::default(),
            refused_peers: Family::default(),
            registry: Registry::default(),
            tasks: Gauge::default(),
            runtimes: OnceLock::new(),
        };
        registry.register(
            "sessions_active",
            "Sessions that run now",
            this.sessions_active.clone(),
        );
        registry.register(
            "sessions",
            "Sessions ended, by outcome",
            this.sessions.clone(),
        );
        registry.register_with_unit(
            "input",
            "To processes",
            Unit::Bytes,
            this.bytes.input.clone(),
        );
        registry.register_with_unit(
            "output",
            "From processes",
            Unit::Bytes,
            this.bytes.output.clone(),
        );
        registry.register_with_unit(
            "session_start",
            "From the request to the running program",
            Unit::Seconds,
            this.start_seconds.clone(),
        );
        registry.register("hangups", "Hang-ups, by outcome", this.hangups.clone());
        registry.register(
            "audit_events",
            "Events for the audit log, by outcome",
            this.audit_events.clone(),
        );
        registry.register(
            "refused_peers",
            "Connections refused before any session, by outcome",
            this.refused_peers.clone(),
        );
        registry.register(
            "enrolments",
            "Calls of the signer for a certificate, by outcome",
            this.enrolments.clone(),
        );
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the certificate from the signer expires; 0 without one",
            Unit::Seconds,
            this.certificate_expiry.clone(),
        );
        registry.register("tasks", "Tasks of all cores", this.tasks.clone());
        Self { registry, ..this }
    }

    /// Counts a started session.
    pub fn started(&self, after: Duration) {
        self.start_seconds.observe(after.as_secs_f64());
    }

    /// Counts an event for the audit log.
    pub fn audit(&self, outcome: &'static str) {
        self.audit_events.get_or_create(&outcome.into()).inc();
    }

    /// Counts a call of the signer.
    pub fn enrolment(&self, told: EnrolmentEvent) {
        let outcome = match told {
            EnrolmentEvent::Enrolled { lifetime } => {
                let expires = SystemTime::now() + Duration::from_secs(u64::from(lifetime));
                let since = expires.duration_since(UNIX_EPOCH).unwrap_or_default();
                let since = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
                self.certificate_expiry.set(since);
                "enrolled"
            }
            EnrolmentEvent::Failed => "failed",
        };
        self.enrolments.get_or_create(&outcome.into()).inc();
    }

    /// The runtimes whose tasks are counted.
    pub fn watch(&self, runtimes: Vec<Handle>) {
        // There is one set of workers, so nobody was here before.
        let _ = self.runtimes.set(runtimes);
    }

    /// In the OpenMetrics text format.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let runtimes = self.runtimes.get().into_iter().flatten();
        let tasks: usize = runtimes.map(|one| one.metrics().num_alive_tasks()).sum();
        self.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
