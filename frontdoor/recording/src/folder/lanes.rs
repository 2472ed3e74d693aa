//! The order in which files are sent: the files of a recording one after another, and the recordings in
//! turn, so that an object that the store refuses holds up only its own recording.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::lease::Lease;

/// A file of a folder.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) lease: Arc<Lease>,
    pub(super) number: u64,
    pub(super) lane: u64,
    /// What it counts for.
    pub(super) bytes: u64,
    /// How often the store has refused it.
    pub(super) failures: u32,
}

/// Files that wait. Their number is bounded by the bytes that each counts for.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    waiting: HashMap<u64, VecDeque<Kept>>,
    /// Lanes of which no file is being sent. Each is here once.
    idle: VecDeque<u64>,
}

impl Lanes {
    pub(super) fn push(&mut self, kept: Kept) {
        let lane = kept.lane;
        let files = self.waiting.entry(lane).or_insert_with(|| {
            self.idle.push_back(lane);
            VecDeque::new()
        });
        files.push_back(kept);
    }

    /// The first file of the next lane. Nothing else of this lane is sent until `done` or `again`.
    pub(super) fn next(&mut self) -> Option<Kept> {
        let lane = self.idle.pop_front()?;
        self.waiting.get(&lane)?.front().cloned()
    }

    /// The lane's first file need not be sent any more.
    pub(super) fn done(&mut self, lane: u64) {
        let Some(files) = self.waiting.get_mut(&lane) else {
            return;
        };
        files.pop_front();
        match files.is_empty() {
            true => drop(self.waiting.remove(&lane)),
            false => self.idle.push_back(lane),
        }
    }

    /// The lane's first file is to be sent again, after those of others.
    pub(super) fn again(&mut self, lane: u64) {
        let first = self.waiting.get_mut(&lane).and_then(VecDeque::front_mut);
        if let Some(kept) = first {
            kept.failures = kept.failures.saturating_add(1);
        }
        self.idle.push_back(lane);
    }

    /// Whether nothing waits or is being sent.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_take_turns_and_each_keeps_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let lease = Arc::new(Lease::make(dir.path()).unwrap());
        let mut lanes = Lanes::default();
        for (number, lane) in [(1, 7), (2, 7), (3, 8), (4, 7)] {
            let lease = Arc::clone(&lease);
            lanes.push(Kept {
                lease,
                number,
                lane,
                bytes: 1,
                failures: 0,
            });
        }
        let next = |lanes: &mut Lanes| lanes.next().map(|kept| kept.number);
        assert_eq!(next(&mut lanes), Some(1));
        assert_eq!(next(&mut lanes), Some(3));
        assert_eq!(next(&mut lanes), None, "both lanes are busy");
        // The first is refused, and stays the first of its lane.
        lanes.again(7);
        assert_eq!(next(&mut lanes), Some(1));
        lanes.done(8);
        lanes.done(7);
        assert_eq!(next(&mut lanes), Some(2));
        lanes.done(7);
        assert_eq!(next(&mut lanes), Some(4));
        assert!(!lanes.is_empty());
        lanes.done(7);
        assert!(lanes.is_empty() && next(&mut lanes).is_none());
    }
}
