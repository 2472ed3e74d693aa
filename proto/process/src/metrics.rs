//! The frame of a program's metrics: a registry under the program's prefix, and the metrics that
//! several programs have. Metrics' names are stable, and documented for operators.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use podgate_proto::v1::Action;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{self, Metric, Unit};
use tokio::runtime::Handle;

use crate::enrolment::EnrolmentEvent;

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

/// A counter for each outcome.
pub type Outcomes = Family<Outcome, Counter>;

/// The labels of sessions that ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SessionEnd {
    /// The action's word.
    action: &'static str,
    /// A fixed word.
    outcome: &'static str,
}

/// A counter for each action and outcome.
#[derive(Debug, Clone, Default)]
pub struct EndedSessions(Family<SessionEnd, Counter>);

impl EndedSessions {
    /// Makes and registers it.
    pub fn new(registry: &mut Registry) -> Self {
        Self(registry.add("sessions", "Ended sessions, by action and outcome"))
    }

    /// Counts one.
    pub fn count(&self, action: Action, outcome: &'static str) {
        let action = action.word();
        self.0.get_or_create(&SessionEnd { action, outcome }).inc();
    }
}

/// The labels of connections that a listener had no place for.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Refused {
    listener: &'static str,
    limit: &'static str,
}

/// Connections that were refused or ended by their listener's bounds.
#[derive(Debug, Clone)]
pub struct RefusedConnections(Family<Refused, Counter>);

impl RefusedConnections {
    /// Makes and registers it.
    pub fn new(registry: &mut Registry) -> Self {
        Self(registry.add(
            "refused_connections",
            "Connections refused or ended by a listener's bounds, by listener and limit",
        ))
    }

    /// Counts one.
    pub fn count(&self, listener: &'static str, limit: &'static str) {
        self.0.get_or_create(&Refused { listener, limit }).inc();
    }
}

/// All metrics of a program.
#[derive(Debug)]
pub struct Registry(registry::Registry);

impl Registry {
    /// A registry whose metrics' names begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self(registry::Registry::with_prefix(prefix))
    }

    /// Makes and registers a metric without a unit.
    pub fn add<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }

    /// Makes and registers a metric with a unit, which its name ends with.
    pub fn add_in<M: Metric + Clone + Default>(&mut self, unit: Unit, name: &str, help: &str) -> M {
        self.put_in(unit, name, help, M::default())
    }

    /// Registers a metric that has no default.
    pub fn put_in<M: Metric + Clone>(
        &mut self,
        unit: Unit,
        name: &str,
        help: &str,
        metric: M,
    ) -> M {
        self.0.register_with_unit(name, help, unit, metric.clone());
        metric
    }

    /// All metrics in the OpenMetrics text format.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(text)
    }
}

/// How a program's enrolment goes.
#[derive(Debug)]
pub struct EnrolmentMetrics {
    calls: Outcomes,
    expiry: Gauge,
}

impl EnrolmentMetrics {
    /// Makes and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        Self {
            calls: registry.add(
                "enrolments",
                "Requests to the signer for a certificate, by outcome",
            ),
            expiry: registry.add_in(
                Unit::Seconds,
                "certificate_expiry_timestamp",
                "When the certificate from the signer expires; 0 without one",
            ),
        }
    }

    /// Counts a call of the signer.
    pub fn count(&self, event: EnrolmentEvent) {
        let outcome = match event {
            EnrolmentEvent::Enrolled { lifetime } => {
                let expires = SystemTime::now() + Duration::from_secs(u64::from(lifetime));
                let since = expires.duration_since(UNIX_EPOCH).unwrap_or_default();
                self.expiry
                    .set(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
                "enrolled"
            }
            EnrolmentEvent::Failed => "failed",
        };
        self.calls.get_or_create(&outcome.into()).inc();
    }
}

/// The number of tasks on a program's runtimes.
#[derive(Debug)]
pub struct TaskMetrics {
    tasks: Gauge,
    runtimes: OnceLock<Vec<Handle>>,
}

impl TaskMetrics {
    /// Makes and registers it.
    pub fn new(registry: &mut Registry) -> Self {
        Self {
            tasks: registry.add("tasks", "Asynchronous tasks on all cores"),
            runtimes: OnceLock::new(),
        }
    }

    /// Counts the tasks of these runtimes from now on. A program calls it once.
    pub fn watch(&self, runtimes: Vec<Handle>) {
        // Fails only if it is called again.
        let _ = self.runtimes.set(runtimes);
    }

    /// Counts the tasks, before the metrics are rendered.
    pub fn update(&self) {
        let runtimes = self.runtimes.get().into_iter().flatten();
        let tasks: usize = runtimes.map(|one| one.metrics().num_alive_tasks()).sum();
        self.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
    }
}
