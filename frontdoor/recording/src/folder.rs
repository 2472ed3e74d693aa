//! The spool's folder: what the store has not taken yet, on a disk. Each object is written here before the
//! store is asked, so that neither the end of this process nor a store that is away loses it. What a
//! frontdoor has left behind, another one sends.

mod file;
mod lanes;
mod lease;
mod threads;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::chunk::FULL;
use crate::health::{Health, Metrics};
use crate::object::Object;
use crate::pauses::{Pauses, keep_testing, pause};
use crate::spool::STRICT_PART;
use crate::upload::Uploads;
use lanes::{Kept, Lanes};
use lease::Lease;
use threads::Threads;

/// Objects that are sent at the same time: each is in memory meanwhile.
const AT_ONCE: usize = 16;
/// How long it may take to remove the own folder.
const CLOSED: Duration = Duration::from_secs(1);
/// What a file counts for at least, so that small ones do not make many.
const LEAST: u64 = 4096;
/// Room for this must be there, or the folder counts as full.
const CHUNK: u64 = FULL as u64;
/// How often others' folders are looked for, and how many are taken at a time.
const LOOK: Duration = Duration::from_secs(30);
const TAKEN: usize = 64;

/// Where the folder is, and how many bytes may be in it.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct FolderConfig {
    pub path: PathBuf,
    pub bytes: u64,
}

/// The folder does not take an object, or is none.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("{path}: {error}")]
    Io { path: String, error: io::Error },
    #[error("it is full")]
    Full,
}

impl Error {
    fn io(path: &Path, error: io::Error) -> Self {
        let path = path.display().to_string();
        Self::Io { path, error }
    }
}

/// The folder of this frontdoor, and those that it has taken over.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    own: Arc<Lease>,
    threads: Threads,
    most: u64,
    /// Bytes of all files that wait.
    held: AtomicU64,
    /// The number of the next file.
    next: AtomicU64,
    lanes: Mutex<Lanes>,
    added: Notify,
    emptied: Notify,
    health: Health,
    metrics: Metrics,
}

impl Folder {
    /// Makes a folder of its own in it.
    pub(crate) fn open(config: &FolderConfig, metrics: Metrics) -> Result<Self, Error> {
        let wrong = |error| Error::io(&config.path, error);
        let own = Lease::make(&config.path).map_err(wrong)?;
        let threads = Threads::start().map_err(wrong)?;
        let (failures, failing) = (&metrics.folder_failures, &metrics.folder_failing);
        let health = Health::new("recordings.spoolFolder", failures.clone(), failing.clone());
        health.fine();
        Ok(Self {
            root: config.path.clone(),
            own: Arc::new(own),
            threads,
            most: config.bytes,
            held: AtomicU64::new(0),
            next: AtomicU64::new(0),
            lanes: Mutex::default(),
            added: Notify::new(),
            emptied: Notify::new(),
            health,
            metrics,
        })
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Writes an object, however long it takes.
    pub(crate) async fn put(&self, object: Object) {
        let mut pauses = Pauses::default();
        while !self.try_put(&object).await {
            pauses.pause(&self.health).await;
        }
    }

    /// Tries to write an object. Whether it did.
    async fn try_put(&self, object: &Object) -> bool {
        let bytes = counted((object.name.len() + 1 + object.bytes.len()) as u64);
        // As in memory.
        if !object.strict && !self.fits(bytes + self.most / u64::from(STRICT_PART)) {
            self.metrics.folder_failures.inc();
            return false;
        }
        let write = async {
            match self.fits(bytes) {
                true => self.write(object, bytes).await,
                false => Err(Error::Full),
            }
        };
        self.health.of(write).await.is_ok()
    }

    fn fits(&self, bytes: u64) -> bool {
        self.held.load(Ordering::Relaxed) + bytes <= self.most
    }

    async fn write(&self, object: &Object, bytes: u64) -> Result<(), Error> {
        self.hold(bytes);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (lease, lane) = (Arc::clone(&self.own), object.lane);
        let (own, object) = (Arc::clone(&lease), object.clone());
        let written = self
            .threads
            .run(move || file::write(own.path(), number, &object));
        if let Err(error) = written.await {
            self.release(bytes);
            return Err(Error::io(&self.root, error));
        }
        self.lanes().push(Kept {
            lease,
            number,
            lane,
            bytes,
            failures: 0,
        });
        self.added.notify_one();
        Ok(())
    }

    /// Tests whether the folder takes a chunk.
    pub(crate) async fn test(&self) -> Result<(), Error> {
        let own = Arc::clone(&self.own);
        let test = async {
            if !self.fits(CHUNK.min(self.most)) {
                return Err(Error::Full);
            }
            let tested = self.threads.run(move || file::test(own.path())).await;
            tested.map_err(|error| Error::io(&self.root, error))
        };
        self.health.of(test).await
    }

    /// Tests the folder again and again. Does not return.
    pub(crate) async fn probe(&self) {
        keep_testing(&self.health, || self.test()).await;
    }

    /// Sends what is here to the store. Does not return.
    pub(crate) async fn send(&self, uploads: &Uploads) {
        // In a row, of all: one object that is refused does not slow down the others.
        let failures = AtomicU32::new(0);
        let mut sending = FuturesUnordered::new();
        loop {
            while sending.len() < AT_ONCE
                && let Some(kept) = self.next()
            {
                sending.push(self.send_one(kept, uploads, &failures));
            }
            tokio::select! {
                () = self.added.notified(), if sending.len() < AT_ONCE => {}
                Some(()) = sending.next() => {}
            }
        }
    }

    async fn send_one(&self, kept: Kept, uploads: &Uploads, failures: &AtomicU32) {
        if self.sent(&kept, uploads).await {
            failures.store(0, Ordering::Relaxed);
            self.release(kept.bytes);
            let mut lanes = self.lanes();
            lanes.done(kept.lane);
            if lanes.is_empty() {
                self.emptied.notify_waiters();
            }
        } else {
            sleep(pause(failures.fetch_add(1, Ordering::Relaxed) + 1)).await;
            self.lanes().again(kept.lane);
        }
    }

    /// Makes a call that needs no free space: its success does not show that the folder takes files.
    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.health.of_other(self.threads.run(call)).await
    }

    /// Whether a file need not be sent again.
    async fn sent(&self, kept: &Kept, uploads: &Uploads) -> bool {
        let (lease, number, lane) = (Arc::clone(&kept.lease), kept.number, kept.lane);
        let read = self.call(move || file::read(lease.path(), number, lane));
        match read.await {
            Ok(Some(object)) if uploads.try_put(&object, kept.failures).await.is_err() => {
                return false;
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                tracing::error!(number, folder = %kept.lease.path().display(), "a file of spoolFolder holds no object");
                return true;
            }
            Err(_) => return false,
        }
        let lease = Arc::clone(&kept.lease);
        let remove = self.call(move || file::remove(lease.path(), number, lane));
        remove.await.is_ok()
    }

    /// Takes over what frontdoors have left that are gone. Does not return.
    pub(crate) async fn adopt(&self) {
        let mut adopted = Vec::new();
        loop {
            let root = self.root.clone();
            let look = self.call(move || Ok((take_over(&root, &mut adopted)?, adopted)));
            adopted = match look.await {
                Ok((found, adopted)) => {
                    for (lease, files) in found {
                        self.add(&lease, files);
                    }
                    adopted
                }
                Err(_) => Vec::new(),
            };
            sleep(LOOK).await;
        }
    }

    fn add(&self, lease: &Arc<Lease>, files: Vec<file::Listed>) {
        let mut lanes = self.lanes();
        for (number, lane, length) in files {
            let (lease, bytes) = (Arc::clone(lease), counted(length));
            self.hold(bytes);
            lanes.push(Kept {
                lease,
                number,
                lane,
                bytes,
                failures: 0,
            });
        }
        self.added.notify_one();
    }

    /// Waits until the store has all.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.lanes().is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Removes this frontdoor's own folder, unless something waits in it.
    pub(crate) async fn close(&self) {
        let own = Arc::clone(&self.own);
        let remove = self.threads.run(move || own.remove());
        match timeout(CLOSED, remove).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "spoolFolder"),
            Err(_) => tracing::warn!("spoolFolder does not answer"),
        }
    }

    fn next(&self) -> Option<Kept> {
        self.lanes().next()
    }

    /// Nothing that holds it can panic halfway.
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.tell();
    }

    fn release(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.tell();
    }

    fn tell(&self) {
        let held = self.held.load(Ordering::Relaxed);
        self.metrics
            .folder_bytes
            .set(i64::try_from(held).unwrap_or(i64::MAX));
    }
}

/// Takes folders whose frontdoors are gone, and removes those that are empty. One that cannot be read keeps
/// no other from being taken.
fn take_over(
    root: &Path,
    adopted: &mut Vec<Arc<Lease>>,
) -> io::Result<Vec<(Arc<Lease>, Vec<file::Listed>)>> {
    // Each file of it that waits has a reference.
    let waits = |lease: &Arc<Lease>| Arc::strong_count(lease) > 1;
    adopted.retain(|lease| {
        let waits = waits(lease);
        if !waits {
            // What cannot be removed is let go, and taken again with the next look.
            let _ = lease.remove();
        }
        waits
    });
    let mut found = Vec::new();
    for path in Lease::all(root)? {
        if adopted.len() == TAKEN {
            break;
        }
        let taken = Lease::take(&path).and_then(|lease| {
            let files = lease.as_ref().map(|lease| file::list(lease.path()));
            Ok(lease.zip(files.transpose()?))
        });
        match taken {
            Ok(Some((lease, files))) => {
                let lease = Arc::new(lease);
                adopted.push(Arc::clone(&lease));
                found.push((lease, files));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, folder = %path.display(), "what a frontdoor has left in spoolFolder cannot be read");
            }
        }
    }
    Ok(found)
}

fn counted(length: u64) -> u64 {
    length.max(LEAST)
}

#[cfg(test)]
mod tests;
