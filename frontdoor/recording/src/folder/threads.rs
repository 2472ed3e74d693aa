//! Threads for the spool folder's calls, apart from those for the store: a store in a folder that hangs
//! then does not hold up this one.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Calls at a time, each of which may hang.
const THREADS: usize = 4;

#[derive(Debug)]
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(THREADS)
            .thread_name("spool-folder")
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Makes a call. If the caller gives up, the call goes on.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let ended = || io::Error::other("its threads have ended");
        let threads = self.0.as_ref().ok_or_else(ended)?;
        let done = threads.spawn_blocking(call).await;
        done.unwrap_or_else(|_| Err(ended()))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Without waiting for calls that hang.
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}
