//! The recorder: a thread of its own with its own runtime, so that neither compression nor a store or a
//! file system that stalls holds up a thread that serves sessions.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cast::Header;
use crate::health::Metrics;
use crate::library::Library;
use crate::name::Id;
use crate::spool::Spool;
use crate::store::{self, Store, StoreConfig};
use crate::tape::{QUEUE, Settings, Tape};
use crate::upload::Shared;
use crate::writer::Writer;

/// Threads for file calls at a time, each of which may hang.
const FILE_THREADS: usize = 8;
/// How long a test of the store may take.
const PROBED: Duration = Duration::from_secs(10);

/// Where recordings go, and how much memory they may take until they are there.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Config {
    pub store: StoreConfig,
    pub spool_bytes: usize,
    pub spool_bytes_per_session: usize,
}

/// Records sessions.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    runtime: Handle,
    writers: TaskTracker,
    others: TaskTracker,
    stopped: CancellationToken,
}

impl Recorder {
    /// Starts the thread. That the store answers shows later.
    pub fn start(config: &Config, metrics: Metrics) -> Result<Self, store::Error> {
        let store = Store::open(&config.store)?;
        let spool = Spool::new(config.spool_bytes, config.spool_bytes_per_session);
        let shared = Arc::new(Shared::new(store, spool, metrics));
        let stopped = CancellationToken::new();
        let runtime =
            start(stopped.clone()).map_err(|error| store::Error::Url(error.to_string()))?;
        let (writers, others) = (TaskTracker::new(), TaskTracker::new());
        let (probe, over) = (Arc::clone(&shared), stopped.clone());
        let probe = async move { over.run_until_cancelled(probe.probe()).await };
        others.spawn_on(probe, &runtime);
        Ok(Self {
            shared,
            runtime,
            writers,
            others,
            stopped,
        })
    }

    /// Tests once whether the store takes an object.
    pub async fn check(config: &Config) -> Result<(), store::Error> {
        let store = Store::open(&config.store)?;
        let put = store.put("probe", bytes::Bytes::from_static(b"podgate\n"));
        let put = timeout(PROBED, put).await;
        put.unwrap_or(Err(store::Error::Late(PROBED)))
    }

    /// Begins a recording. `None` if its name has no day.
    pub fn record(&self, id: Id, header: Header, settings: Settings) -> Option<Tape> {
        let day = id.day()?;
        let (messages, queue) = mpsc::channel(QUEUE);
        let (lose, lost) = watch::channel(None);
        let shared = Arc::clone(&self.shared);
        let writer = Writer::new(shared, (id.clone(), day), header, settings, lose);
        let write = writer.run(queue);
        let stopped = self.stopped.clone();
        let write = async move { stopped.run_until_cancelled(write).await };
        self.writers.spawn_on(write, &self.runtime);
        Some(Tape {
            id,
            input: settings.input,
            begun: Instant::now(),
            messages,
            lost,
            health: self.shared.health.clone(),
        })
    }

    /// Whether a session cannot be recorded now: the store has taken nothing for as long as this, or what
    /// waits for it has used up its room.
    pub fn is_impossible(&self, after: Duration) -> bool {
        self.shared.health.fails_for(after) || !self.shared.spool.has_room()
    }

    /// Waits until the store has failed for as long as this.
    pub async fn failing_for(&self, time: Duration) {
        self.shared.health.failing_for(time).await;
    }

    /// Waits until the store does not fail.
    pub async fn recovers(&self) {
        self.shared.health.recovers().await;
    }

    /// What is stored, for reading.
    pub fn library(&self) -> Library {
        Library::new(
            self.shared.store.clone(),
            self.runtime.clone(),
            self.others.clone(),
        )
    }

    /// Waits, for a bounded time, until all is stored, and ends the thread.
    pub async fn finish(&self, limit: Duration) {
        self.writers.close();
        if timeout(limit, self.writers.wait()).await.is_err() {
            let recordings = self.writers.len();
            tracing::error!(
                recordings,
                "recordings are cut: the store did not take them in time"
            );
        }
        self.stopped.cancel();
        self.others.close();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

fn start(stopped: CancellationToken) -> io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(FILE_THREADS)
        .build()?;
    let handle = runtime.handle().clone();
    // It is not joined: a file call may hang.
    thread::Builder::new()
        .name("recordings".to_owned())
        .spawn(move || {
            runtime.block_on(stopped.cancelled());
            runtime.shutdown_background();
        })?;
    Ok(handle)
}

#[cfg(test)]
mod tests;
