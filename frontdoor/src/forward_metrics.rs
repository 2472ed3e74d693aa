//! Metrics of what forwards carry.

use podgate_process::metrics::Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Unit;

/// Bytes of forwarded connections.
#[derive(Clone, Debug)]
pub(crate) struct ForwardBytes {
    /// From clients.
    pub(crate) to_pods: Counter,
    /// To clients.
    pub(crate) from_pods: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Direction {
    direction: &'static str,
}

impl ForwardBytes {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let help = "Bytes of forwarded connections, by direction";
        let bytes: Family<Direction, Counter> = registry.add_in(Unit::Bytes, "forward", help);
        let of = |direction| bytes.get_or_create(&Direction { direction }).clone();
        Self {
            to_pods: of("to_pods"),
            from_pods: of("from_pods"),
        }
    }
}
