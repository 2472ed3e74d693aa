//! The frontdoor's metrics, registered once. Their names are stable and listed in the README.

use std::sync::OnceLock;
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

/// All the frontdoor counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Tasks of all cores; told when it is asked for.
    tasks: Gauge,
    runtimes: OnceLock<Vec<Handle>>,
    /// SSH connections that stand now.
    pub connections: Gauge,
    /// Connections inside of these that stand now.
    pub jumps: Gauge,
    /// Logins, by outcome.
    pub logins: Family<Outcome, Counter>,
    /// What limits refused or ended, by the limit.
    pub refused: Family<Limit, Counter>,
    /// Calls of the signer for a certificate, by outcome.
    pub enrolments: Family<Outcome, Counter>,
    /// When the certificate from the signer expires.
    certificate_expiry: Gauge,
    /// Sessions that run now.
    pub sessions_active: Gauge,
    /// Sessions ended, by how.
    pub sessions: Family<Outcome, Counter>,
    /// Events for the audit log, by what became of them.
    pub audit_events: Family<Outcome, Counter>,
    /// Pods that the watch knows.
    pub pods: Gauge,
    /// Files of who may log in that cannot be read as they are now.
    pub stale_files: Gauge,
    /// Bytes from clients.
    pub input: Counter,
    /// Bytes to clients.
    pub output: Counter,
    /// Time of each leg of a session's start.
    pub leg_seconds: Family<Leg, Histogram, fn() -> Histogram>,
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

/// The label `limit`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Limit {
    /// Its key in the configuration.
    pub limit: &'static str,
}

/// The label `leg`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Leg {
    /// A fixed word: `route` (the API server), `agent` (to the stream), `start` (to the program).
    pub leg: &'static str,
}

impl Metrics {
    /// Makes and registers them.
    pub fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.0005, 2.0, 16));
        let this = Self {
            connections: Gauge::default(),
            jumps: Gauge::default(),
            logins: Family::default(),
            refused: Family::default(),
            enrolments: Family::default(),
            certificate_expiry: Gauge::default(),
            sessions_active: Gauge::default(),
            sessions: Family::default(),
            audit_events: Family::default(),
            pods: Gauge::default(),
            stale_files: Gauge::default(),
            input: Counter::default(),
            output: Counter::default(),
            leg_seconds: Family::new_with_constructor(histogram),
            registry: Registry::default(),
            tasks: Gauge::default(),
            runtimes: OnceLock::new(),
        };
        let mut registry = Registry::with_prefix("podgate_frontdoor");
        registry.register(
            "connections",
            "SSH connections that stand now",
            this.connections.clone(),
        );
        registry.register(
            "jumps",
            "Connections inside of these that stand now",
            this.jumps.clone(),
        );
        registry.register("logins", "Logins, by outcome", this.logins.clone());
        registry.register(
            "refused",
            "What limits refused or ended, by limit",
            this.refused.clone(),
        );
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
        registry.register(
            "audit_events",
            "Events for the audit log, by outcome",
            this.audit_events.clone(),
        );
        registry.register("pods", "Pods that the watch knows", this.pods.clone());
        registry.register(
            "stale_files",
            "Files of who may log in that cannot be read as they are now",
            this.stale_files.clone(),
        );
        registry.register_with_unit("input", "From clients", Unit::Bytes, this.input.clone());
        registry.register_with_unit("output", "To clients", Unit::Bytes, this.output.clone());
        registry.register_with_unit(
            "leg",
            "Time of each leg of a session's start",
            Unit::Seconds,
            this.leg_seconds.clone(),
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

    /// Counts a login.
    pub fn login(&self, outcome: &'static str) {
        self.logins.get_or_create(&outcome.into()).inc();
    }

    /// Counts what a limit refused or ended.
    pub fn refused(&self, limit: &'static str) {
        self.refused.get_or_create(&Limit { limit }).inc();
    }

    /// Counts the end of a session.
    pub fn session(&self, outcome: &'static str) {
        self.sessions.get_or_create(&outcome.into()).inc();
    }

    /// Counts events for the audit log.
    pub fn audit(&self, outcome: &'static str, events: u64) {
        if events > 0 {
            self.audit_events
                .get_or_create(&outcome.into())
                .inc_by(events);
        }
    }

    /// Counts the time since `begun` for a leg.
    pub fn leg(&self, leg: &'static str, begun: std::time::Instant) {
        self.leg_seconds
            .get_or_create(&Leg { leg })
            .observe(begun.elapsed().as_secs_f64());
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
