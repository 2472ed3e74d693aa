//! The runtimes that the log has told of.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Runtimes that are told of, at the most.
const MOST: usize = 16;

/// Their programs.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<HashSet<PathBuf>>);

impl Told {
    /// Whether a runtime is seen for the first time.
    pub(crate) fn is_new(&self, program: &Path) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST && told.insert(program.to_owned())
    }
}
