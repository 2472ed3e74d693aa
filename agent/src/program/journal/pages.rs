//! The files of the journal: each complete or missing, all of them below a limit.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::owner::{self, Gone, Lock, Owner};
use crate::program::journal_entry::JournalEntry;

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
    #[error("{0} has files of too many agents")]
    Full(PathBuf),
}

/// Why a session is not in the journal.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("it cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("the journal has reached its limit of {0} bytes")]
    Full(u64),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The files of this agent.
#[derive(Debug)]
pub(super) struct Pages {
    folder: PathBuf,
    owner: Owner,
    boot: String,
    /// What the files take. Only the journal's thread changes it.
    sizes: Mutex<Sizes>,
}

/// Bytes of each file, and of all.
#[derive(Debug)]
struct Sizes {
    most: u64,
    total: u64,
    files: HashMap<PathBuf, u64>,
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

impl Pages {
    /// Opens the folder, or makes it.
    pub(super) fn open(folder: &Path, most: u64) -> Result<(Self, Lock), Error> {
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
        let owner = Owner::new(folder).map_err(failed(folder))?;
        let (owner, lock) = owner.ok_or_else(|| Error::Full(folder.to_owned()))?;
        let boot = fs::read_to_string(BOOT_ID).map_err(failed(Path::new(BOOT_ID)))?;
        let this = Self {
            folder: folder.to_owned(),
            owner,
            boot: boot.trim().to_owned(),
            sizes: Mutex::new(Sizes {
                most,
                total: 0,
                files: HashMap::new(),
            }),
        };
        Ok((this, lock))
    }

    /// Makes the files of agents that are gone this agent's own, and gives `found` what is in them.
    pub(super) fn take_over(&self, mut found: impl FnMut(JournalEntry)) -> io::Result<()> {
        for gone in owner::gone(&self.folder)? {
            for file in fs::read_dir(&self.folder)? {
                let file = file?;
                let name = file.file_name();
                if let Some(name) = name.to_str().filter(|name| gone.owns(name))
                    && let Some(entry) = self.take(&gone, name, &file.path())?
                {
                    found(entry);
                }
            }
            gone.forget()?;
        }
        Ok(())
    }

    fn take(&self, gone: &Gone, name: &str, path: &Path) -> io::Result<Option<JournalEntry>> {
        let bytes = fs::metadata(path).map_or(0, |found| found.len());
        match self.read(path) {
            Ok(page) if page.boot != self.boot => fs::remove_file(path).map(|()| None),
            Ok(page) if gone.file(&page.entry.session) == name => {
                let own = self.path(&page.entry.session);
                fs::rename(path, &own)?;
                self.sizes().set(&own, bytes);
                Ok(Some(page.entry))
            }
            // Its agent was killed while writing it, before it started anything.
            _ if name.ends_with(".new") => fs::remove_file(path).map(|()| None),
            read => {
                let misnamed = || io::Error::other("it is not named as its session");
                let error = read.err().unwrap_or_else(misnamed);
                let session = name.trim_end_matches(".json").rsplit('.').next();
                let own = self.path(session.unwrap_or_default());
                fs::rename(path, &own)?;
                self.sizes().set(&own, bytes);
                tracing::error!(path = %own.display(), %error, "what this session left is not known");
                Ok(None)
            }
        }
    }

    fn read(&self, path: &Path) -> io::Result<Page<String, JournalEntry>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// A session's file.
    pub(super) fn path(&self, session: &str) -> PathBuf {
        self.folder.join(self.owner.file(session))
    }

    /// What is to be in a session's file.
    pub(super) fn encode(&self, entry: &JournalEntry) -> Result<Vec<u8>, WriteError> {
        let boot = &self.boot;
        Ok(serde_json::to_vec(&Page { boot, entry })?)
    }

    /// Writes a file so that it is complete or missing, whenever this process is killed.
    pub(super) fn put(&self, path: &Path, page: &[u8]) -> Result<(), WriteError> {
        let bytes = page.len() as u64;
        self.sizes().check(path, bytes)?;
        let new = path.with_extension("new");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        let written = file.write_all(page).and_then(|()| fs::rename(&new, path));
        if let Err(error) = written {
            // Where the disk is full, what there was room for would stay.
            let _ = fs::remove_file(&new);
            return Err(error.into());
        }
        self.sizes().set(path, bytes);
        Ok(())
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.sizes().forget(path);
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sizes(&self) -> MutexGuard<'_, Sizes> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
