//! The signer's metrics, registered once. Their names are stable and listed in docs/metrics.md.

use podgate_process::metrics::{Outcomes, RefusedConnections, Registry};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Calls for a part's certificate, by outcome.
    pub(crate) enrolments: Outcomes,
    /// Connections that a listener had no place for.
    pub(crate) refused_connections: RefusedConnections,
    trusted: Gauge,
    ca_expiry: Gauge,
    /// Requests to the desk, by source and outcome.
    certificates: Family<Exchanged, Counter>,
    /// Host keys of frontdoors, by outcome.
    host_certificates: Outcomes,
}

/// The labels `source` and `outcome`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Exchanged {
    source: &'static str,
    outcome: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::new("podgate_signer");
        Self {
            enrolments: registry.add(
                "enrolments",
                "Requests of agents and frontdoors for a certificate, by outcome",
            ),
            refused_connections: RefusedConnections::new(&mut registry),
            trusted: registry.add("trusted", "CAs in the bundle"),
            ca_expiry: registry.add_in(
                Unit::Seconds,
                "ca_expiry_timestamp",
                "When the issuing CA expires; 0 before there is one",
            ),
            certificates: registry.add(
                "certificates",
                "Requests to the desk for a certificate, by source and outcome",
            ),
            host_certificates: registry.add(
                "host_certificates",
                "Requests of frontdoors for a certificate of a host key, by outcome",
            ),
            registry,
        }
    }

    /// Counts a call for a part's certificate.
    pub(crate) fn enrolment(&self, outcome: &'static str) {
        self.enrolments.get_or_create(&outcome.into()).inc();
    }

    /// Says how many CAs the bundle has.
    pub(crate) fn trusted(&self, count: usize) {
        self.trusted.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Says when the CA that issues expires.
    pub(crate) fn issuer(&self, expires: u64) {
        self.ca_expiry
            .set(i64::try_from(expires).unwrap_or(i64::MAX));
    }

    /// Counts a request to the desk.
    pub(crate) fn certificate(&self, source: &'static str, outcome: &'static str) {
        let labels = Exchanged { source, outcome };
        self.certificates.get_or_create(&labels).inc();
    }

    /// Counts a host key that a frontdoor wants a certificate for.
    pub(crate) fn host_certificate(&self, outcome: &'static str) {
        self.host_certificates.get_or_create(&outcome.into()).inc();
    }

    /// In the OpenMetrics text format.
    pub(crate) fn render(&self) -> Result<String, std::fmt::Error> {
        self.registry.render()
    }
}
