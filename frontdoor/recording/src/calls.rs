//! Calls of a store on a runtime of their own: neither do many readers hold up the recorder, nor does a folder that hangs
//! hold up sessions.

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::store::{Error, Store};

/// A store, and where it is called.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    pub(crate) store: Store,
    runtime: Handle,
    tasks: TaskTracker,
}

impl Calls {
    pub(crate) fn new(store: Store, runtime: Handle) -> Self {
        let tasks = TaskTracker::new();
        Self {
            store,
            runtime,
            tasks,
        }
    }

    /// Reads an object.
    pub(crate) async fn get(&self, name: String, most: u64) -> Result<Option<Bytes>, Error> {
        let store = self.store.clone();
        self.run(async move { store.get(&name, most).await }).await
    }

    /// Runs this there until the caller gives up.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.start(work).await.unwrap_or(Err(Error::Ended))
    }

    /// The same, but it runs from now on.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> AbortOnDropHandle<Result<T, Error>> {
        AbortOnDropHandle::new(self.tasks.spawn_on(work, &self.runtime))
    }
}
