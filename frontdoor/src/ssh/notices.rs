//! What a client should read at its next terminal, because what it has asked for has no words of its own.

use std::sync::{Mutex, PoisonError};

/// Lines that are kept, at the most.
const MOST: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<Vec<String>>);

impl Notices {
    /// Adds a line, unless there are too many already.
    pub(super) fn add(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MOST {
            lines.push(line);
        }
    }

    pub(super) fn take(&self) -> Vec<String> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut lines)
    }
}
