//! The frontdoor's metrics, registered once. Their names are stable and listed in docs/metrics.md.

use podgate_process::metrics::{
    EndedSessions, EnrolmentMetrics, Outcomes, RefusedConnections, Registry, TaskMetrics,
};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Unit;

use crate::file_metrics::FileMetrics;
use crate::forward_metrics::ForwardBytes;

/// All metrics of the frontdoor.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub connections: Gauge,
    /// Open connections inside of these (`ssh -J`).
    pub jumps: Gauge,
    pub logins: Outcomes,
    /// What limits refused or ended, by the limit.
    pub refused: Family<Limit, Counter>,
    pub files: FileMetrics,
    /// Connections to the admin address that it had no place for.
    pub refused_connections: RefusedConnections,
    pub sessions_active: Gauge,
    /// Forwarded connections that stand or are being opened.
    pub forwards_active: Gauge,
    pub forward_bytes: ForwardBytes,
    /// Listeners in pods (`ssh -R`).
    pub listeners_active: Gauge,
    /// Sockets in pods for clients' agents (`ssh -A`).
    pub agent_sockets_active: Gauge,
    pub sessions: EndedSessions,
    pub audit_events: Outcomes,
    /// Look-ups of objects that are too large to be kept, by the bound.
    pub live_lookups: Family<Limit, Counter>,
    pub pods: Gauge,
    /// Files with users, CAs or revocations that cannot be read now.
    pub stale_files: Gauge,
    /// When the first of the host certificates expires.
    pub host_certificate_expiry: Gauge,
    /// Bytes from clients.
    pub input: Counter,
    /// Bytes to clients.
    pub output: Counter,
    /// Time of each leg of a session's start.
    pub leg_seconds: Family<Leg, Histogram, fn() -> Histogram>,
    pub enrolment: EnrolmentMetrics,
    /// Recordings of sessions, and sessions that may be without.
    pub recordings: podgate_recording::Metrics,
    pub unrecorded: Counter,
    pub without_room: Counter,
    pub tasks: TaskMetrics,
}

/// The label `limit`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Limit {
    /// The limit's key in the configuration.
    pub limit: &'static str,
}

/// The label `leg`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Leg {
    /// A fixed word: `route` (the API server), `agent` (to the stream), `start` (to the program).
    pub leg: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.0005, 2.0, 16));
        let mut registry = Registry::new("podgate_frontdoor");
        Self {
            connections: registry.add("connections", "Open SSH connections"),
            jumps: registry.add("jumps", "Open connections inside of these (ssh -J)"),
            logins: registry.add("logins", "Logins, by outcome"),
            refused: registry.add("refused", "Refused or ended by a limit, by limit"),
            files: FileMetrics::new(&mut registry),
            refused_connections: RefusedConnections::new(&mut registry),
            sessions_active: registry.add("sessions_active", "Running sessions"),
            forwards_active: registry.add("forwards_active", "Forwarded connections"),
            forward_bytes: ForwardBytes::new(&mut registry),
            listeners_active: registry.add("listeners_active", "Listeners in pods (ssh -R)"),
            agent_sockets_active: registry.add(
                "agent_sockets_active",
                "Sockets in pods for clients' agents (ssh -A)",
            ),
            sessions: EndedSessions::new(&mut registry),
            audit_events: registry.add("audit_events", "Events for the audit log, by outcome"),
            live_lookups: registry.add(
                "live_lookups",
                "Look-ups of objects that are too large to be kept, by limit",
            ),
            pods: registry.add("pods", "Pods that the watch knows"),
            host_certificate_expiry: registry.add_in(
                Unit::Seconds,
                "host_certificate_expiry_timestamp",
                "When the first of the host certificates expires; 0 without one",
            ),
            stale_files: registry.add(
                "stale_files",
                "Files with users, CAs or revocations that cannot be read now",
            ),
            input: registry.add_in(Unit::Bytes, "input", "Bytes from clients"),
            output: registry.add_in(Unit::Bytes, "output", "Bytes to clients"),
            leg_seconds: registry.put_in(
                Unit::Seconds,
                "leg",
                "Time of each step of a session's start",
                Family::new_with_constructor(histogram),
            ),
            enrolment: EnrolmentMetrics::new(&mut registry),
            recordings: recordings(&mut registry),
            unrecorded: registry.add(
                "recordings_break_glass",
                "Sessions that began unrecorded by recordings.breakGlass",
            ),
            without_room: registry.add(
                "recordings_without_room",
                "Sessions that began unrecorded because there was no room (spoolBytes)",
            ),
            tasks: TaskMetrics::new(&mut registry),
            registry,
        }
    }

    pub(crate) fn login(&self, outcome: &'static str) {
        self.logins.get_or_create(&outcome.into()).inc();
    }

    /// Counts a refusal, or an end, by a limit.
    pub(crate) fn refused(&self, limit: &'static str) {
        self.refused.get_or_create(&Limit { limit }).inc();
    }

    /// Counts a look-up of an object that is too large to be kept.
    pub(crate) fn looked_up(&self, limit: &'static str) {
        self.live_lookups.get_or_create(&Limit { limit }).inc();
    }

    /// Counts the time since `begun` for a leg.
    pub(crate) fn leg(&self, leg: &'static str, begun: std::time::Instant) {
        self.leg_seconds
            .get_or_create(&Leg { leg })
            .observe(begun.elapsed().as_secs_f64());
    }

    /// In the OpenMetrics text format.
    pub(crate) fn render(&self) -> Result<String, std::fmt::Error> {
        self.tasks.update();
        self.registry.render()
    }
}

fn recordings(registry: &mut Registry) -> podgate_recording::Metrics {
    podgate_recording::Metrics {
        active: registry.add(
            "recordings_active",
            "Recordings that are neither in the store nor in spoolFolder yet",
        ),
        stored: registry.add(
            "recordings_stored_objects",
            "Objects that the recordings' store took",
        ),
        stored_bytes: registry.add_in(Unit::Bytes, "recordings_stored", "Bytes of these"),
        failures: registry.add(
            "recordings_store_failures",
            "Objects that the recordings' store did not take at once",
        ),
        lost_bytes: registry.add_in(
            Unit::Bytes,
            "recordings_lost",
            "Bytes of sessions that no recording has: there was no room for them (spoolBytes)",
        ),
        spool_bytes: registry.add_in(
            Unit::Bytes,
            "recordings_spool",
            "Bytes that wait in memory for the recordings' store",
        ),
        failing: registry.add(
            "recordings_store_failing",
            "1 while the recordings' store fails",
        ),
        folder_bytes: registry.add_in(
            Unit::Bytes,
            "recordings_spool_folder",
            "Bytes that wait in recordings.spoolFolder for the store",
        ),
        folder_failures: registry.add(
            "recordings_spool_folder_failures",
            "Objects that recordings.spoolFolder did not take at once",
        ),
        folder_failing: registry.add(
            "recordings_spool_folder_failing",
            "1 while recordings.spoolFolder fails or is full",
        ),
    }
}
