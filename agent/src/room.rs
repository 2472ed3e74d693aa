//! How much is read at once: more from what says much. While it says nothing, no memory is held.

use podgate_proto::limits::MAX_READ;

/// The bytes of the next read, at the most.
#[derive(Debug)]
pub(crate) struct Room {
    least: usize,
    now: usize,
}

impl Room {
    /// For what says little so far.
    pub(crate) fn at_least(least: usize) -> Self {
        Self { least, now: least }
    }

    pub(crate) fn now(&self) -> usize {
        self.now
    }

    /// Takes note of how many bytes a read has found.
    pub(crate) fn found(&mut self, read: usize) {
        if read >= self.now {
            self.now = MAX_READ.min(self.now * 2);
        } else if read < self.now / 4 {
            self.now = self.least.max(self.now / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_is_found() {
        let mut room = Room::at_least(MAX_READ / 4);
        let sizes = [MAX_READ / 4, MAX_READ / 2, MAX_READ, 1, 1, 1].map(|read| {
            room.found(read);
            room.now()
        });
        let expect = [2, 4, 4, 2, 1, 1].map(|quarters| quarters * MAX_READ / 4);
        assert_eq!(sizes, expect);
    }
}
