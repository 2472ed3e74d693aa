//! The recorder: a thread of its own with its own runtime, so that neither compression nor a store or a
//! file system that stalls holds up a thread that serves sessions.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::age::Recipient;
use crate::archive::{self, Archive};
use crate::cast::Header;
use crate::folder::{self, Folder, FolderConfig};
use crate::health::Metrics;
use crate::library::Library;
use crate::name::{self, Id};
use crate::shared::Shared;
use crate::spool::Spool;
use crate::store::{self, Store, StoreConfig};
use crate::tape::{QUEUE, Queue, Settings, Tape};
use crate::thread::start;
use crate::upload::Uploads;
use crate::writer::Writer;

/// How long the thread may take to end.
const ENDED: Duration = Duration::from_secs(1);
/// How long a test of the store may take.
const PROBED: Duration = Duration::from_secs(10);
/// The object that is put by who only tests the store.
const PROBE: &str = "probe";

/// Where recordings go, and how much memory they may take until they are there.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Config {
    pub store: StoreConfig,
    pub spool_bytes: usize,
    pub spool_bytes_per_session: usize,
    pub folder: Option<FolderConfig>,
    pub recipients: Vec<Recipient>,
}

/// The recorder does not start, or what it needs does not answer.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("store: {0}")]
    Store(#[from] store::Error),
    #[error("spoolFolder: {0}")]
    Folder(#[from] folder::Error),
    #[error("a thread: {0}")]
    Thread(#[from] io::Error),
    #[error(transparent)]
    Archive(#[from] archive::Error),
}

/// Records sessions.
#[derive(Debug)]
pub struct Recorder {
    pub(crate) shared: Arc<Shared>,
    runtime: Handle,
    writers: TaskTracker,
    others: TaskTracker,
    stopped: CancellationToken,
    archive: Archive,
}

impl Recorder {
    /// Starts the thread. That the store answers shows later.
    pub fn start(config: &Config, metrics: Metrics) -> Result<Self, Error> {
        let frontdoor = format!("{:016x}", fastrand::u64(..));
        let (store, heartbeat) = (open(config)?, name::frontdoor(&frontdoor));
        let uploads = Arc::new(Uploads::new(store, heartbeat, metrics.clone()));
        let folder = config.folder.as_ref();
        let folder = folder.map(|folder| Folder::open(folder, metrics.clone()));
        let shared = Arc::new(Shared {
            frontdoor,
            uploads,
            folder: folder.transpose()?.map(Arc::new),
            recipients: config.recipients.as_slice().into(),
            wakes: Arc::default(),
            spool: Spool::new(config.spool_bytes, config.spool_bytes_per_session),
            metrics,
        });
        let stopped = CancellationToken::new();
        let runtime = start("recordings", stopped.clone())?;
        let (writers, others) = (TaskTracker::new(), TaskTracker::new());
        let (work, over) = (Arc::clone(&shared), stopped.clone());
        let work = async move { over.run_until_cancelled(store_all(&work)).await };
        others.spawn_on(work, &runtime);
        Ok(Self {
            shared,
            runtime,
            writers,
            others,
            stopped,
            archive: Archive::open(&config.store)?,
        })
    }

    /// Tests once whether the store takes an object, and whether the spool's folder can be used.
    pub async fn check(config: &Config) -> Result<(), Error> {
        if let Some(folder) = &config.folder {
            Folder::open(folder, Metrics::default())?.close().await;
        }
        let store = open(config)?;
        let uploads = Uploads::new(store, PROBE.to_owned(), Metrics::default());
        let test = timeout(PROBED, uploads.test()).await;
        Ok(test.unwrap_or(Err(store::Error::Late(PROBED)))?)
    }

    /// Begins a recording.
    pub fn record(&self, id: Id, header: Header, settings: Settings) -> Tape {
        let (messages, queue) = mpsc::channel(QUEUE);
        let (end, ended) = oneshot::channel();
        let (set, impossible) = watch::channel(None);
        let shared = Arc::clone(&self.shared);
        let writer = Writer::new(shared, id.clone(), header, settings, set);
        let wake = self.shared.wakes.wake();
        let write = writer.run(queue, wake.clone(), ended);
        let stopped = self.stopped.clone();
        let write = async move { stopped.run_until_cancelled(write).await };
        self.writers.spawn_on(write, &self.runtime);
        Tape {
            id,
            input: settings.input,
            begun: Instant::now(),
            queue: Queue { messages, wake },
            end,
            impossible,
        }
    }

    /// Whether a session cannot be recorded now: what waits in memory has used up its room, or for as long
    /// as this neither the store nor, if there is one, the spool's folder has taken anything.
    pub fn is_impossible(&self, after: Duration) -> bool {
        self.shared.health().fails_for(after) || !self.shared.spool.has_room()
    }

    /// Whether there is no memory for a recording that is not strict.
    pub fn is_full_for_others(&self) -> bool {
        self.shared.spool.is_full_for_others()
    }

    /// Waits until the store, or the spool's folder if there is one, has failed for as long as this.
    pub async fn failing_for(&self, time: Duration) {
        self.shared.health().failing_for(time).await;
    }

    /// Waits until the same does not fail.
    pub async fn recovers(&self) {
        self.shared.health().recovers().await;
    }

    /// What is stored, for reading.
    pub fn library(&self) -> Library {
        self.archive.library().clone()
    }

    /// Waits, for a bounded time, until all is stored, and ends the thread.
    pub async fn finish(&self, limit: Duration) {
        let end = Instant::now() + limit;
        self.writers.close();
        if timeout_at(end, self.writers.wait()).await.is_err() {
            let recordings = self.writers.len();
            tracing::error!(
                recordings,
                "recordings are cut: the store did not take them in time"
            );
        }
        if let Some(folder) = &self.shared.folder
            && timeout_at(end, folder.emptied()).await.is_err()
        {
            tracing::warn!("recordings wait in spoolFolder for the next frontdoor");
        }
        self.stopped.cancel();
        self.others.close();
        // Until then the lock of its folder is held, and files may be written there.
        let _ = timeout(ENDED, async {
            tokio::join!(self.writers.wait(), self.others.wait())
        })
        .await;
        if let Some(folder) = &self.shared.folder {
            folder.close().await;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

/// Brings what waits to the store, and wakes writers. Does not return.
async fn store_all(shared: &Shared) {
    let folder = async {
        if let Some(folder) = &shared.folder {
            tokio::join!(folder.send(&shared.uploads), folder.adopt(), folder.probe());
        }
    };
    tokio::join!(shared.uploads.probe(), folder, shared.wakes.run());
}

/// Opens the store for writing, without repeated calls: [`Uploads`] repeats them.
fn open(config: &Config) -> Result<Store, store::Error> {
    Store::open(&config.store, 0)
}

#[cfg(test)]
pub(crate) mod tests;
