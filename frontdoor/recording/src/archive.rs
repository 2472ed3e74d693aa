//! A store for reading: its library, with a thread of its own for the store's calls.

use std::io;

use tokio_util::sync::CancellationToken;

use crate::calls::Calls;
use crate::library::Library;
use crate::store::{self, Store, StoreConfig};
use crate::thread::start;

/// How often a call is repeated that the store refuses for a reason that may pass.
const RETRIES: usize = 3;

/// A store cannot be opened for reading.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("store: {0}")]
    Store(#[from] store::Error),
    #[error("a thread: {0}")]
    Thread(#[from] io::Error),
}

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
        let library = Library::new(Calls::new(store, runtime));
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
