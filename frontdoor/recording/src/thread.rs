//! A thread with a runtime of its own.

use std::io;
use std::thread;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Threads for file calls at a time, each of which may hang.
const FILE_THREADS: usize = 8;

/// Starts a thread for calls of the store.
pub(crate) fn start(name: &str, stopped: CancellationToken) -> io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(FILE_THREADS)
        .build()?;
    let handle = runtime.handle().clone();
    // It is not joined: a file call may hang.
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            runtime.block_on(stopped.cancelled());
            runtime.shutdown_background();
        })?;
    Ok(handle)
}
