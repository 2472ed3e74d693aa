//! Programs that were started and are not known to have ended, in one file per session, for the agent
//! that follows after a crash. An entry is written before the runtime is asked, so the journal knows
//! everything that was started. A thread writes: a file system that stalls delays a start for a bounded
//! time, and nothing else. The folder has a limit, so that sessions with long commands cannot fill it.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use podgate_process::file_thread::FileThread;
use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};

use super::journal_entry::JournalEntry;

/// Processes of an earlier boot are gone, and their numbers mean nothing (proc(5)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// The most bytes of a file: a command's words.
const MAX_FILE: u64 = 1024 * 1024;

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} must belong to the agent's user and be closed to others (mode 700)")]
    Open(PathBuf),
    #[error("{0} is in use by another agent")]
    InUse(PathBuf),
}

/// A folder with a file for each session.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    boot: String,
    /// Writes and removes, in order.
    thread: FileThread,
    /// What the files take. Only the thread changes it.
    sizes: Arc<Mutex<Sizes>>,
    /// Counts sessions that are not in the journal.
    lost: Counter,
    /// Held while this agent lives.
    _lock: File,
}

/// Bytes of each file, and of all.
#[derive(Debug)]
struct Sizes {
    most: u64,
    total: u64,
    files: HashMap<PathBuf, u64>,
}

/// Why a session is not in the journal.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("it cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("the journal has reached its limit of {0} bytes")]
    Full(u64),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Sizes {
    fn set(&mut self, path: &Path, bytes: u64) {
        self.forget(path);
        self.total += bytes;
        self.files.insert(path.to_owned(), bytes);
    }

    fn forget(&mut self, path: &Path) {
        self.total -= self.files.remove(path).unwrap_or(0);
    }

    /// Checks that a file of this size has room. What is there already may be written anew: it grows
    /// by a process's number at most.
    fn check(&self, path: &Path, bytes: u64) -> Result<(), WriteError> {
        if self.files.contains_key(path) || self.total + bytes <= self.most {
            Ok(())
        } else {
            Err(WriteError::Full(self.most))
        }
    }
}

/// What a file holds: owned when it is read, borrowed when it is written.
#[derive(Serialize, Deserialize)]
struct Page<B, E> {
    boot: B,
    #[serde(rename = "left")]
    entry: E,
}

impl Journal {
    /// Opens the folder, or makes it, and reads what an earlier agent has left. Its files take `most`
    /// bytes; `lost` counts sessions that have no file.
    pub(crate) fn open(
        folder: &Path,
        most: u64,
        lost: Counter,
    ) -> Result<(Self, Vec<JournalEntry>), Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(failed(folder))?;
        let found = fs::symlink_metadata(folder).map_err(failed(folder))?;
        // Processes that the folder names are signalled, so nobody else may write there.
        let own = rustix::process::geteuid().as_raw();
        if !found.is_dir() || found.uid() != own || found.mode() & 0o077 != 0 {
            return Err(Error::Open(folder.to_owned()));
        }
        let path = folder.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed(&path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::InUse(folder.to_owned()),
            TryLockError::Error(source) => failed(&path)(source),
        })?;
        let boot = fs::read_to_string(BOOT_ID).map_err(failed(Path::new(BOOT_ID)))?;
        let this = Self {
            folder: folder.to_owned(),
            boot: boot.trim().to_owned(),
            thread: FileThread::start("journal").map_err(failed(folder))?,
            sizes: Arc::new(Mutex::new(Sizes {
                most,
                total: 0,
                files: HashMap::new(),
            })),
            lost,
            _lock: lock,
        };
        let mut entries = Vec::new();
        for file in fs::read_dir(folder).map_err(failed(folder))? {
            let path = file.map_err(failed(folder))?.path();
            if path.file_name().is_some_and(|name| name == "lock") {
                continue;
            }
            let bytes = fs::metadata(&path).map_or(0, |found| found.len());
            match this.read(&path) {
                Ok(page) if page.boot != this.boot => {
                    fs::remove_file(&path).map_err(failed(&path))?;
                }
                Ok(page) => {
                    held(&this.sizes).set(&path, bytes);
                    entries.push(page.entry);
                }
                // Its agent was killed while writing it, before it started anything.
                Err(_) if path.extension().is_some_and(|end| end == "new") => {
                    fs::remove_file(&path).map_err(failed(&path))?;
                }
                Err(error) => {
                    held(&this.sizes).set(&path, bytes);
                    tracing::error!(path = %path.display(), %error, "what this session left is not known");
                }
            }
        }
        Ok((this, entries))
    }

    fn read(&self, path: &Path) -> io::Result<Page<String, JournalEntry>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
        let page: Page<String, JournalEntry> = serde_json::from_slice(&bytes)?;
        if self.path(&page.entry.session) == path {
            Ok(page)
        } else {
            Err(io::Error::other("it is not named as its session"))
        }
    }

    /// Writes what is known of a session, and waits for that for a bounded time. If it fails, there is
    /// a warning and the session goes on.
    pub(super) async fn write(&self, entry: &JournalEntry) {
        let boot = &self.boot;
        let page = serde_json::to_vec(&Page { boot, entry });
        let path = self.path(&entry.session);
        let shown = path.display().to_string();
        let (sizes, lost) = (Arc::clone(&self.sizes), self.lost.clone());
        let write = move || {
            let written = page.map_err(Into::into);
            if let Err(error) = written.and_then(|page| put(&path, &page, &sizes)) {
                lost.inc();
                tracing::warn!(path = %path.display(), %error, "a session is not in the journal");
            }
        };
        if let Err(error) = self.thread.run(write).await {
            self.lost.inc();
            tracing::warn!(path = shown, %error, "a session is not in the journal yet");
        }
    }

    /// Forgets a session, if it was written at all. Does not wait.
    pub(super) fn remove(&self, session: &str) {
        let path = self.path(session);
        let shown = path.display().to_string();
        let sizes = Arc::clone(&self.sizes);
        let remove = move || {
            held(&sizes).forget(&path);
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "a session stays in the journal");
            }
        };
        if let Err(error) = self.thread.queue(remove) {
            tracing::warn!(path = shown, %error, "a session stays in the journal");
        }
    }

    fn path(&self, session: &str) -> PathBuf {
        self.folder.join(format!("{session}.json"))
    }
}

/// Writes a file so that it is complete or missing, whenever this process is killed.
fn put(path: &Path, page: &[u8], sizes: &Mutex<Sizes>) -> Result<(), WriteError> {
    let bytes = page.len() as u64;
    held(sizes).check(path, bytes)?;
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(page)?;
    fs::rename(&new, path)?;
    held(sizes).set(path, bytes);
    Ok(())
}

fn held(sizes: &Mutex<Sizes>) -> MutexGuard<'_, Sizes> {
    sizes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::Granted;

    fn entry(session: &str) -> JournalEntry {
        let granted = Granted {
            namespace: "prod".into(),
            pod: "web-0".into(),
            uid: "u1".into(),
            container: "main".into(),
            container_id: format!("containerd://{}", "a".repeat(64)),
        };
        let trace = r#"{"Wrapped":{"leader":null}}"#;
        JournalEntry {
            session: session.to_owned(),
            granted,
            trace: serde_json::from_str(trace).unwrap(),
            hang_up: None,
        }
    }

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("podgate-journal-{name}-{}", std::process::id()))
    }

    fn open(folder: &Path) -> Result<(Journal, Vec<JournalEntry>), Error> {
        Journal::open(folder, 1024 * 1024, Counter::default())
    }

    #[tokio::test]
    async fn its_files_have_a_limit() {
        let folder = folder("limit");
        let lost = Counter::default();
        let one = serde_json::to_vec(&entry("a")).unwrap().len() as u64;
        // Room for two, with what is around each.
        let (journal, _) = Journal::open(&folder, one * 5 / 2 + 128, lost.clone()).unwrap();
        for session in ["a", "b", "c"] {
            journal.write(&entry(session)).await;
        }
        assert_eq!(lost.get(), 1);
        // What is in it can be written anew, and what is over makes room.
        journal.write(&entry("a")).await;
        journal.remove("b");
        journal.write(&entry("c")).await;
        assert_eq!(lost.get(), 1);
        journal.write(&entry("b")).await;
        assert_eq!(lost.get(), 2);
        drop(journal);
        // What an earlier agent has left counts.
        let (journal, left) = Journal::open(&folder, one, lost.clone()).unwrap();
        assert_eq!(left.len(), 2);
        journal.write(&entry("d")).await;
        assert_eq!(lost.get(), 3);
        drop(journal);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn what_is_not_over_is_read_again() {
        let folder = folder("again");
        let (journal, before) = open(&folder).unwrap();
        assert_eq!(before, []);
        journal.write(&entry("a")).await;
        journal.write(&entry("b")).await;
        journal.remove("a");
        // Calls are made in order: once this one is over, so is the last.
        journal.write(&entry("b")).await;
        assert!(matches!(open(&folder), Err(Error::InUse(_))));
        drop(journal);
        let (_, again) = open(&folder).unwrap();
        assert_eq!(again, [entry("b")]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn what_is_of_another_boot_is_removed_and_what_is_broken_is_left_alone() {
        let folder = folder("broken");
        let (journal, _) = open(&folder).unwrap();
        journal.write(&entry("a")).await;
        let whole = fs::read_to_string(folder.join("a.json")).unwrap();
        drop(journal);
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("a.json", &whole.replace("\"boot\":\"", "\"boot\":\"0"));
        write("b.json", "{");
        write("c.new", &whole);
        let (journal, left) = open(&folder).unwrap();
        assert_eq!(left, []);
        assert!(folder.join("b.json").exists());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "and the lock");
        drop(journal);
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert!(matches!(open(&folder), Err(Error::Open(_))));
        fs::remove_dir_all(&folder).unwrap();
    }
}
