//! The page's metrics, registered once. Their names are stable and listed in docs/metrics.md.

use podgate_process::metrics::{Outcomes, RefusedConnections, Registry};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) refused_connections: RefusedConnections,
    pub(crate) audit_events: Outcomes,
    entries: Outcomes,
    watches: Outcomes,
    refused: Family<Limit, Counter>,
    pub(crate) requests: Gauge,
    pub(crate) streams: Gauge,
    pub(crate) followers: Gauge,
}

/// The label `limit`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::new("podgate_replay");
        Self {
            refused_connections: RefusedConnections::new(&mut registry),
            audit_events: registry.add("audit_events", "Events for the audit log, by outcome"),
            entries: registry.add("entries", "Attempts to sign in, by outcome"),
            watches: registry.add("watches", "Recordings that were read, by outcome"),
            refused: registry.add("refused", "Requests that a limit refused, by limit"),
            requests: registry.add("requests", "Lists and searches under way"),
            streams: registry.add("streams", "Recordings that are played or downloaded"),
            followers: registry.add("followers", "Running sessions that are watched"),
            registry,
        }
    }

    /// Counts an attempt to sign in.
    pub(crate) fn entry(&self, outcome: &'static str) {
        self.entries.get_or_create(&outcome.into()).inc();
    }

    /// Counts a recording that is read.
    pub(crate) fn watch(&self, how: &'static str) {
        self.watches.get_or_create(&how.into()).inc();
    }

    /// Counts a request that a limit refused.
    pub(crate) fn refused(&self, limit: &'static str) {
        self.refused.get_or_create(&Limit { limit }).inc();
    }

    /// In the OpenMetrics text format.
    pub(crate) fn render(&self) -> Result<String, std::fmt::Error> {
        self.registry.render()
    }
}
