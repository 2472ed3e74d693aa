//! Sums files up where they are too many for an event each, so that a transfer of many small ones cannot
//! fill the audit log's queue.

use std::time::Instant;

use podgate_process::bucket::Bucket;

use super::done::FileDone;

/// Files of one session that have an event each: at once, and a second.
const BURST: u32 = 50;
const A_SECOND: f64 = 20.0;

/// Of one session.
#[derive(Debug)]
pub(in crate::audit) struct Summary {
    bucket: Bucket,
    summed: Summed,
}

/// Files without an event of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::audit) struct Summed {
    pub(in crate::audit) files: u64,
    pub(in crate::audit) failed: u64,
    pub(in crate::audit) bytes: u64,
}

impl Summary {
    pub(in crate::audit) fn new(now: Instant) -> Self {
        Self {
            bucket: Bucket::full(BURST, A_SECOND, now),
            summed: Summed::default(),
        }
    }

    /// Whether a file has an event of its own; else it is added to the sum.
    pub(in crate::audit) fn admits(&mut self, file: &FileDone, now: Instant) -> bool {
        let admitted = self.bucket.take(now);
        if !admitted {
            self.summed.files += 1;
            self.summed.failed += u64::from(file.outcome != "done");
            self.summed.bytes = self.summed.bytes.saturating_add(file.bytes);
        }
        admitted
    }

    /// The sum, if there is any. It begins anew.
    pub(in crate::audit) fn take(&mut self) -> Option<Summed> {
        let summed = std::mem::take(&mut self.summed);
        (summed.files > 0).then_some(summed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::done::{Direction, FileHash};
    use super::*;

    #[test]
    fn many_files_are_summed_up() {
        let begun = Instant::now();
        let mut summary = Summary::new(begun);
        let file = |outcome| FileDone {
            path: "a".to_owned(),
            direction: Direction::Write,
            bytes: 10,
            begun,
            outcome,
            hash: FileHash::default(),
        };
        let own = (0..1000).filter(|n| {
            let outcome = if n % 2 == 0 { "done" } else { "failed" };
            summary.admits(&file(outcome), begun)
        });
        assert_eq!(own.count(), BURST as usize);
        let expect = Summed {
            files: 950,
            failed: 475,
            bytes: 9500,
        };
        assert_eq!(summary.take(), Some(expect));
        assert_eq!(summary.take(), None);
    }
}
