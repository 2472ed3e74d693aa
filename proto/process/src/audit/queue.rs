//! The queue of lines that wait to be written. It is bounded by bytes; putting never waits, and taking
//! takes all.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The reason why a line was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Why {
    #[error("the audit log's queue is full")]
    Full,
    #[error("the audit log is closed")]
    Closed,
}

/// A line was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) why: Why,
    /// Whether the line before it was taken.
    pub(super) first: bool,
}

#[derive(Debug)]
pub(super) struct Queue {
    most: usize,
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Whether the last line was refused.
    refused: bool,
    /// Whether the last attempt to write failed.
    fails: bool,
    closed: bool,
}

impl Queue {
    /// A queue with room for this many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            waiting: Mutex::default(),
            news: Condvar::new(),
        }
    }

    /// Adds a line if there is room and the queue is not closed.
    pub(super) fn put(&self, line: &[u8]) -> Result<(), Refused> {
        let mut waiting = self.lock();
        let why = match waiting.lines.len() + line.len() > self.most {
            _ if waiting.closed => Some(Why::Closed),
            true => Some(Why::Full),
            false => None,
        };
        if let Some(why) = why {
            let first = !std::mem::replace(&mut waiting.refused, true);
            return Err(Refused { why, first });
        }
        waiting.refused = false;
        waiting.lines.extend_from_slice(line);
        self.news.notify_one();
        Ok(())
    }

    /// Waits for lines, and takes all. `None` once the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        let waiting = self.lock();
        let idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.closed;
        let waited = self.news.wait_while(waiting, idle);
        let mut waiting = waited.unwrap_or_else(PoisonError::into_inner);
        waiting.refused = false;
        let lines = std::mem::take(&mut waiting.lines);
        (!lines.is_empty()).then_some(lines)
    }

    /// Waits this long, or until the queue is closed.
    pub(super) fn pause(&self, how_long: Duration) {
        let open = |waiting: &mut Waiting| !waiting.closed;
        let waited = self
            .news
            .wait_timeout_while(self.lock(), how_long, open)
            .unwrap_or_else(PoisonError::into_inner);
        drop(waited);
    }

    /// Refuses further lines. Those that wait can still be taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Notes whether writing fails. Returns true if that has changed.
    pub(super) fn set_fails(&self, fails: bool) -> bool {
        std::mem::replace(&mut self.lock().fails, fails) != fails
    }

    /// Whether a line that is put now may be delayed or refused.
    pub(super) fn fails(&self) -> bool {
        let waiting = self.lock();
        waiting.fails || waiting.refused
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_refused_and_said_once() {
        let queue = Queue::new(10);
        let full = |first| {
            Err(Refused {
                why: Why::Full,
                first,
            })
        };
        assert_eq!(queue.put(b"123456\n"), Ok(()));
        assert_eq!(queue.put(b"1234\n"), full(true));
        assert!(queue.fails());
        assert_eq!(queue.put(b"1234\n"), full(false));
        assert_eq!(queue.put(b"12\n"), Ok(()));
        assert!(!queue.fails());
        assert_eq!(queue.put(b"1\n"), full(true));
        assert_eq!(queue.take().as_deref(), Some(&b"123456\n12\n"[..]));
        assert_eq!(queue.put(b"1\n"), Ok(()));
    }

    #[test]
    fn what_waits_when_it_is_closed_is_still_taken() {
        let queue = Queue::new(10);
        queue.put(b"1\n").unwrap();
        queue.close();
        let closed = |first| {
            Err(Refused {
                why: Why::Closed,
                first,
            })
        };
        assert_eq!(queue.put(b"2\n"), closed(true));
        assert_eq!(queue.put(b"too long for it"), closed(false));
        assert_eq!(queue.take().as_deref(), Some(&b"1\n"[..]));
        assert_eq!(queue.take(), None);
    }
}
