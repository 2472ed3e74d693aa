//! The thread that writes. It keeps lines that cannot be written and tries again, while the queue behind
//! it fills.

use std::time::Duration;

use super::queue::Queue;
use super::sink::Sink;
use crate::metrics::Outcomes;

/// The pause between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// Writes until the queue is closed and its lines are written or lost.
pub(super) fn run(queue: &Queue, mut sink: Sink, events: &Outcomes) {
    while let Some(mut lines) = queue.take() {
        loop {
            let last_try = queue.is_closed();
            let before = count(&lines);
            let result = sink.write(&mut lines);
            tell(events, "written", before - count(&lines));
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
                return tell(events, "lost", lost);
            }
            queue.pause(AGAIN);
        }
    }
}

/// The number of events in these lines. JSON escapes line feeds, so each ends a line.
fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|b| **b == b'\n').count() as u64
}

fn tell(events: &Outcomes, outcome: &'static str, count: u64) {
    if count > 0 {
        events.get_or_create(&outcome.into()).inc_by(count);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_cannot_be_written_by_the_end_is_counted() {
        let (events, queue) = (Outcomes::default(), Queue::new(100));
        for line in [b"{}\n"; 3] {
            queue.put(line).unwrap();
        }
        queue.close();
        run(&queue, Sink::file(Path::new("/dev/full")), &events);
        let of = |outcome: &'static str| events.get_or_create(&outcome.into()).get();
        assert_eq!((of("lost"), of("written")), (3, 0));
    }
}
