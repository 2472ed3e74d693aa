//! The one thread that writes. What cannot be written is kept and tried again, while the queue behind it
//! fills.

use std::time::Duration;

use super::queue::Queue;
use super::sink::Sink;
use crate::metrics::Metrics;

/// Between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// Writes until the queue is closed and all is written, or can not be.
pub(super) fn run(queue: &Queue, mut sink: Sink, metrics: &Metrics) {
    while let Some(mut lines) = queue.take() {
        loop {
            let last_try = queue.is_closed();
            let before = count(&lines);
            let result = sink.write(&mut lines);
            metrics.audit("written", before - count(&lines));
            let news = queue.set_fails(result.is_err());
            match result {
                Ok(()) => {
                    if news {
                        tracing::info!("the audit log is written again");
                    }
                    break;
                }
                Err(error) => {
                    if news {
                        tracing::error!(%error, "the audit log cannot be written");
                    }
                }
            }
            if last_try {
                let lost = count(&lines) + queue.take().map_or(0, |rest| count(&rest));
                tracing::error!(lost, "events are lost to the audit log");
                return metrics.audit("lost", lost);
            }
            queue.pause(AGAIN);
        }
    }
}

/// How many events these lines are: in JSON a line's end is nowhere else.
fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|b| **b == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_cannot_be_written_by_the_end_is_counted() {
        let (metrics, queue) = (Metrics::new(), Queue::new(100));
        for line in [b"{}\n"; 3] {
            queue.put(line).unwrap();
        }
        queue.close();
        run(&queue, Sink::file(Path::new("/dev/full")), &metrics);
        let text = metrics.render().unwrap();
        let lost = "podgate_frontdoor_audit_events_total{outcome=\"lost\"} 3";
        assert!(text.lines().any(|line| line == lost), "{text}");
    }
}
