//! Programs that were started and are not known to have ended, in one file per session, for the agent
//! that follows after a crash. An entry is written before the runtime is asked, so the journal knows
//! everything that was started. A thread writes: a file system that stalls delays a start for a bounded
//! time, and nothing else. The folder has a limit, so that sessions with long commands cannot fill it.
//! Agents of one node may share it.

mod missing;
mod owner;
mod pages;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use podgate_process::file_thread::FileThread;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::journal_entry::JournalEntry;
use missing::Missing;
use owner::Lock;
use pages::Pages;

pub(crate) use pages::Error;

/// A folder with a file for each session.
#[derive(Debug)]
pub(crate) struct Journal {
    pages: Arc<Pages>,
    /// What is to be written again.
    missing: Arc<Missing>,
    /// Writes and removes, in order.
    thread: FileThread,
    /// Counts writes that failed.
    lost: Counter,
    /// What other agents have left, until somebody asks for it.
    found: Arc<Mutex<Vec<JournalEntry>>>,
    _lock: Lock,
}

impl Journal {
    /// Opens the folder, or makes it, and takes over what agents have left that are gone. Its files take
    /// `most` bytes; `lost` counts writes that failed, and `missing` sessions that have no file yet.
    pub(crate) fn open(
        folder: &Path,
        most: u64,
        (lost, missing): (Counter, Gauge),
    ) -> Result<(Self, Vec<JournalEntry>), Error> {
        let (pages, _lock) = Pages::open(folder, most)?;
        let failed = |source| Error::Io {
            path: folder.to_owned(),
            source,
        };
        let mut entries = Vec::new();
        let taken = pages.take_over(|entry| entries.push(entry));
        taken.map_err(failed)?;
        let this = Self {
            pages: Arc::new(pages),
            missing: Arc::new(Missing::new(most, missing)),
            thread: FileThread::start("journal").map_err(failed)?,
            lost,
            found: Arc::default(),
            _lock,
        };
        Ok((this, entries))
    }

    /// Takes over what agents have left that have gone since, such as one that was killed while it drained
    /// beside this one.
    pub(super) async fn left(&self) -> Vec<JournalEntry> {
        let (pages, found) = (Arc::clone(&self.pages), Arc::clone(&self.found));
        let look = move || {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            pages.take_over(|entry| found.push(entry))
        };
        match self.thread.run(look).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "what other agents left is not known"),
            // The thread has the list until the file system answers.
            Err(error) => {
                tracing::warn!(%error, "what other agents left is not known");
                return Vec::new();
            }
        }
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes what is known of a session, and waits for that for a bounded time. If it fails, there is
    /// a warning, the session goes on, and [`Self::again`] tries again.
    pub(super) async fn write(&self, entry: &JournalEntry) {
        let path = self.pages.path(&entry.session);
        let shown = path.display().to_string();
        let page: Arc<[u8]> = match self.pages.encode(entry) {
            Ok(page) => page.into(),
            Err(error) => {
                self.lost.inc();
                tracing::warn!(path = shown, %error, "a session is not in the journal");
                return;
            }
        };
        let kept = self.missing.keep(&path, &page);
        let (pages, missing) = (Arc::clone(&self.pages), Arc::clone(&self.missing));
        let lost = self.lost.clone();
        let write = move || {
            // This may have waited: then a later call may have brought a newer page, or written it.
            let page = if kept {
                missing.newest(&path)
            } else {
                Some(page)
            };
            let Some(page) = page else {
                return;
            };
            match pages.put(&path, &page) {
                Ok(()) => missing.written(&path, &page),
                Err(error) => {
                    lost.inc();
                    tracing::warn!(path = %path.display(), %error, "a session is not in the journal yet");
                }
            }
        };
        if let Err(error) = self.thread.run(write).await {
            self.lost.inc();
            tracing::warn!(path = shown, %error, "a session is not in the journal yet");
        }
    }

    /// Tries again to write some of the sessions that are not in the journal and are not over. Does not
    /// wait.
    pub(super) fn again(&self) {
        if !self.missing.begins() {
            return;
        }
        let (pages, missing) = (Arc::clone(&self.pages), Arc::clone(&self.missing));
        let write = move || {
            missing.again(|path, page| match pages.put(path, page) {
                Ok(()) => true,
                Err(error) => {
                    tracing::debug!(path = %path.display(), %error, "a session is still not in the journal");
                    false
                }
            });
        };
        if self.thread.queue(write).is_err() {
            self.missing.ends();
        }
    }

    /// Forgets a session, if it was written at all. Does not wait.
    pub(super) fn remove(&self, session: &str) {
        let path = self.pages.path(session);
        let shown = path.display().to_string();
        self.missing.forget(&path);
        let pages = Arc::clone(&self.pages);
        let remove = move || {
            if let Err(error) = pages.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "a session stays in the journal");
            }
        };
        if let Err(error) = self.thread.queue(remove) {
            tracing::warn!(path = shown, %error, "a session stays in the journal");
        }
    }
}
