//! Metrics of the files that sessions read and write.

use podgate_process::metrics::Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

/// Files, as the audit log has them.
#[derive(Clone, Debug)]
pub(crate) struct FileMetrics {
    files: Family<Done, Counter>,
    bytes: Family<Direction, Counter>,
    open: Gauge,
    /// Requests of SFTP beyond what their session may do.
    pub refused: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Done {
    protocol: &'static str,
    direction: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Direction {
    direction: &'static str,
}

impl FileMetrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        Self {
            files: registry.add("files", "Files, by protocol, direction and outcome"),
            bytes: registry.add_in(Unit::Bytes, "file", "Bytes of files, by direction"),
            open: registry.add("open_files", "Files that sessions have open"),
            refused: registry.add(
                "files_refused",
                "Requests of SFTP beyond what their session may do",
            ),
        }
    }

    /// Counts a file that is over.
    pub(crate) fn done(
        &self,
        protocol: &'static str,
        (direction, outcome): (&'static str, &'static str),
        bytes: u64,
    ) {
        let done = Done {
            protocol,
            direction,
            outcome,
        };
        self.files.get_or_create(&done).inc();
        let all = self.bytes.get_or_create(&Direction { direction });
        all.inc_by(bytes);
    }

    /// Counts the open files of one session.
    pub(crate) fn open(&self) -> OpenFiles {
        OpenFiles {
            gauge: self.open.clone(),
            count: 0,
        }
    }
}

/// The open files of a session; none once this is dropped.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    gauge: Gauge,
    count: i64,
}

impl OpenFiles {
    pub(crate) fn set(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        // All cores share the gauge, and most pieces of a session open and close nothing.
        if count != self.count {
            self.gauge.inc_by(count - self.count);
            self.count = count;
        }
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        self.set(0);
    }
}
