//! The signer's metrics, registered once. Their names are stable and listed in the README.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::metrics::Outcome;

/// All the signer counts.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    /// Calls for a part's certificate, by outcome.
    pub(super) enrolments: Family<Outcome, Counter>,
}

impl Metrics {
    /// Makes and registers them.
    pub(super) fn new() -> Self {
        let enrolments = Family::default();
        let mut registry = Registry::with_prefix("podgate_signer");
        registry.register(
            "enrolments",
            "Calls for a part's certificate, by outcome",
            enrolments.clone(),
        );
        Self {
            registry,
            enrolments,
        }
    }

    /// Counts a call for a part's certificate.
    pub(super) fn enrolment(&self, outcome: &'static str) {
        self.enrolments.get_or_create(&outcome.into()).inc();
    }

    /// In the OpenMetrics text format.
    pub(super) fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
