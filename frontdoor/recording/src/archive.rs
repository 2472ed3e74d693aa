//! A store for reading: its library, with a thread of its own for the store's calls.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::library::Library;
use crate::recorder::{Error, start};
use crate::store::{Store, StoreConfig};

/// How often a call is repeated that the store refuses for a reason that may pass.
const RETRIES: usize = 3;

/// An open store.
#[derive(Debug)]
pub struct Archive {
    library: Library,
    stopped: CancellationToken,
}

impl Archive {
    /// Starts the thread. That the store answers shows later.
    pub fn open(config: &StoreConfig) -> Result<Self, Error> {
        let store = Store::open(config, RETRIES)?;
        let stopped = CancellationToken::new();
        let runtime = start("library", stopped.clone())?;
        let library = Library::new(store, runtime, TaskTracker::new());
        Ok(Self { library, stopped })
    }

    /// What is stored.
    pub fn library(&self) -> &Library {
        &self.library
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}
