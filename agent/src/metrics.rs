//! The agent's metrics, registered once. Their names are stable and listed in docs/metrics.md.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use podgate_process::metrics::{
    EndedSessions, EnrolmentMetrics, Outcomes, RefusedConnections, Registry, TaskMetrics,
};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Unit;

/// All metrics of the agent.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub sessions_active: Gauge,
    pub sessions: EndedSessions,
    pub bytes: Bytes,
    /// From the request to the running program.
    pub start_seconds: Histogram,
    pub starts: StartMetrics,
    /// 1 while the node entry is connected.
    pub entry_connected: Gauge,
    /// Of programs that the node entry has started.
    pub pipes_enlarged: Gauge,
    pub hangups: Outcomes,
    pub hangups_waiting: Gauge,
    /// Sessions that a limit refused.
    pub refused: Family<Limit, Counter>,
    /// What serves files, by what it is.
    pub file_servers: Outcomes,
    pub workers: WorkerMetrics,
    /// How long files waited for their rates.
    pub throttled: Throttled,
    /// What opens connections, by what it is.
    pub dials: Outcomes,
    /// Attempts to listen in a pod.
    pub listens: Outcomes,
    pub listeners_active: Gauge,
    /// What became of listeners' connections.
    pub accepts: Outcomes,
    pub helper: HelperMetrics,
    pub audit_events: Outcomes,
    /// Writes to the journal that failed.
    pub unjournaled_sessions: Counter,
    /// Sessions that are not in the journal.
    pub missing_in_journal: Gauge,
    /// Connections that a listener had no place for.
    pub refused_connections: RefusedConnections,
    /// Connections refused before any session.
    pub refused_peers: Outcomes,
    pub enrolment: EnrolmentMetrics,
    pub tasks: TaskMetrics,
}

/// The label `limit`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Limit {
    /// The limit's key in the configuration.
    limit: &'static str,
}

/// Starts of programs, by what starts them.
#[derive(Debug, Clone)]
pub(crate) struct StartMetrics {
    starts: Family<StartLabels, Counter>,
    seconds: Family<RuntimeLabel, Histogram, fn() -> Histogram>,
    /// Starts that the node entry has left to the kubelet, by reason.
    instead: Family<ReasonLabel, Counter>,
}

/// The labels `runtime` and `outcome`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StartLabels {
    runtime: &'static str,
    outcome: &'static str,
}

/// The label `reason`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// The label `runtime`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RuntimeLabel {
    runtime: &'static str,
}

impl StartMetrics {
    fn new(registry: &mut Registry) -> Self {
        let seconds = Family::new_with_constructor(start_buckets as fn() -> Histogram);
        Self {
            starts: registry.add("starts", "Starts of programs, by runtime and outcome"),
            seconds: registry.put_in(
                Unit::Seconds,
                "start",
                "Time that a runtime takes to start a program",
                seconds,
            ),
            instead: registry.add(
                "kubelet_instead",
                "Starts that were left to the kubelet, by reason",
            ),
        }
    }

    /// Counts a start that is left to the kubelet.
    pub(crate) fn left_to_the_kubelet(&self, reason: &'static str) {
        self.instead.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a start that a runtime has tried.
    pub(crate) fn tried(&self, runtime: &'static str, outcome: &'static str, after: Duration) {
        let labels = StartLabels { runtime, outcome };
        self.starts.get_or_create(&labels).inc();
        if outcome == "started" {
            let seconds = self.seconds.get_or_create(&RuntimeLabel { runtime });
            seconds.observe(after.as_secs_f64());
        }
    }
}

fn start_buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 12))
}

/// The workers that serve files.
#[derive(Debug, Clone)]
pub(crate) struct WorkerMetrics {
    active: Gauge,
    start_seconds: Histogram,
}

/// Counts as a running worker until it is dropped.
#[derive(Debug)]
pub(crate) struct RunningWorker(Gauge);

impl WorkerMetrics {
    fn new(registry: &mut Registry) -> Self {
        Self {
            active: registry.add("workers_active", "Workers that serve files"),
            start_seconds: registry.put_in(
                Unit::Seconds,
                "worker_start",
                "Time that a worker takes to start",
                start_buckets(),
            ),
        }
    }

    /// Counts a worker that has started.
    pub(crate) fn started(&self, after: Duration) -> RunningWorker {
        self.start_seconds.observe(after.as_secs_f64());
        self.active.inc();
        RunningWorker(self.active.clone())
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Seconds.
pub(crate) type Waited = Counter<f64, AtomicU64>;

/// How long files and forwards have waited for their rates, all together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Throttled {
    pub upload: Waited,
    pub download: Waited,
}

impl Throttled {
    fn new(registry: &mut Registry) -> Self {
        let mut waited = |name, help| registry.add_in(Unit::Seconds, name, help);
        Self {
            upload: waited(
                "upload_wait",
                "Time that files and forwards to pods waited for transferRates",
            ),
            download: waited(
                "download_wait",
                "Time that files and forwards from pods waited for transferRates",
            ),
        }
    }
}

/// The node helper, as the agent sees it.
#[derive(Debug, Clone)]
pub(crate) struct HelperMetrics {
    /// How often the image's shell did what the helper should have done.
    pub replaced: Counter,
    /// Looks at processes that hang, each with a thread of the helper.
    pub hanging: Gauge,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Bytes {
    /// To processes.
    pub input: Counter,
    /// From processes.
    pub output: Counter,
}

/// The bytes of one session. They count in the totals, too.
#[derive(Debug)]
pub(crate) struct Moved<'a> {
    all: &'a Bytes,
    input: AtomicU64,
    output: AtomicU64,
}

impl<'a> Moved<'a> {
    pub(crate) fn new(all: &'a Bytes) -> Self {
        let (input, output) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { all, input, output }
    }

    /// To its process.
    pub(crate) fn input(&self, bytes: usize) {
        self.all.input.inc_by(bytes as u64);
        self.input.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// From its process.
    pub(crate) fn output(&self, bytes: usize) {
        self.all.output.inc_by(bytes as u64);
        self.output.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Input and output so far.
    pub(crate) fn both(&self) -> (u64, u64) {
        let load = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed);
        (load(&self.input), load(&self.output))
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::new("podgate_agent");
        let start = start_buckets();
        Self {
            sessions_active: registry.add("sessions_active", "Running sessions"),
            sessions: EndedSessions::new(&mut registry),
            bytes: Bytes {
                input: registry.add_in(Unit::Bytes, "input", "Bytes to processes"),
                output: registry.add_in(Unit::Bytes, "output", "Bytes from processes"),
            },
            start_seconds: registry.put_in(
                Unit::Seconds,
                "session_start",
                "Time from the request until the program runs",
                start,
            ),
            starts: StartMetrics::new(&mut registry),
            entry_connected: registry.add("entry_connected", "1 while the node entry is connected"),
            pipes_enlarged: registry.add(
                "pipes_enlarged",
                "Pipes that are enlarged while much goes through them",
            ),
            hangups: registry.add("hangups", "Hang-ups, by outcome"),
            hangups_waiting: registry.add(
                "hangups_waiting",
                "Hang-ups that wait for their turn, so that all containers get one",
            ),
            refused: registry.add("refused", "Sessions refused by a limit, by limit"),
            file_servers: registry.add(
                "file_servers",
                "Starts of what serves files, by outcome: the worker, or the image's own programs",
            ),
            workers: WorkerMetrics::new(&mut registry),
            throttled: Throttled::new(&mut registry),
            dials: registry.add(
                "dials",
                "Connections into pods, by outcome: opened by the worker or the kubelet, or failed",
            ),
            listens: registry.add(
                "listens",
                "Attempts to listen in a pod, by outcome: bound, or failed",
            ),
            listeners_active: registry.add("listeners_active", "Listeners in pods"),
            accepts: registry.add(
                "accepts",
                "Connections of listeners in pods, by outcome: taken by the frontdoor, or closed",
            ),
            helper: HelperMetrics {
                replaced: registry.add(
                    "helper_replaced",
                    "How often an image's shell stood in for the node helper, which is absent",
                ),
                hanging: registry.add(
                    "helper_hanging_looks",
                    "Looks of the node helper at processes that hang",
                ),
            },
            audit_events: registry.add("audit_events", "Events for the audit log, by outcome"),
            unjournaled_sessions: registry.add(
                "unjournaled_sessions",
                "How often a session could not be written to the journal",
            ),
            missing_in_journal: registry.add(
                "journal_missing_sessions",
                "Sessions that are to be written to the journal",
            ),
            refused_connections: RefusedConnections::new(&mut registry),
            refused_peers: registry.add(
                "refused_peers",
                "Connections refused before any session, by outcome",
            ),
            enrolment: EnrolmentMetrics::new(&mut registry),
            tasks: TaskMetrics::new(&mut registry),
            registry,
        }
    }

    /// Counts a session that a limit refused.
    pub(crate) fn refused(&self, limit: &'static str) {
        self.refused.get_or_create(&Limit { limit }).inc();
    }

    /// Counts a started session.
    pub(crate) fn started(&self, after: Duration) {
        self.start_seconds.observe(after.as_secs_f64());
    }

    /// In the OpenMetrics text format.
    pub(crate) fn render(&self) -> Result<String, std::fmt::Error> {
        self.tasks.update();
        self.registry.render()
    }
}
