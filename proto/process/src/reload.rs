//! A value read from files that may be replaced while the program runs (a mounted Secret, a rotated
//! certificate), or from folders of such files. Files are checked on use, so a change serves the next
//! use. A thread checks; while the file system stalls, the last value serves.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::file_thread::FileThread;

/// The pause after a failed read if the files have not changed. The cause may have been a lack of
/// descriptors, or of rights that are given later.
const RETRY: Duration = Duration::from_secs(5);
/// A check that takes less is fast enough for each use to wait for one. A busy machine may take some of
/// this.
const SLOW: Duration = Duration::from_millis(500);
/// The pause after a slow check, as a multiple of its duration: checks take at most a tenth of the
/// time.
const REST: u32 = 9;
/// The longest such pause, so that files that stalled once are soon checked again.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// What `read` makes of some files. It is made anew when one of them has changed.
pub struct Reloaded<T, E> {
    followed: Arc<Followed<T, E>>,
    /// Started by the first use.
    thread: OnceLock<Option<FileThread>>,
}

struct Followed<T, E> {
    files: Vec<PathBuf>,
    read: Box<dyn Fn() -> Result<T, E> + Send + Sync>,
    /// Held during a check, by the thread alone.
    look: Mutex<Look>,
    /// No check starts before this time.
    next: Mutex<Instant>,
    value: Mutex<Arc<T>>,
    stale: AtomicBool,
}

/// The last check of the files.
struct Look {
    stamp: Option<Vec<Stamp>>,
    /// When to read again although nothing changes, and the logged error of the read that failed.
    retry: Option<(Instant, String)>,
    begun: Instant,
}

/// Tells whether a file is the one that it was.
#[derive(PartialEq, Eq)]
struct Stamp {
    inode: u64,
    modified: (i64, i64),
    size: u64,
}

impl<T, E> Reloaded<T, E>
where
    T: Send + Sync + 'static,
    E: fmt::Display + 'static,
{
    /// Reads for the first time, and blocks. `files` are the files and folders that `read` reads.
    pub fn load(
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        let begun = Instant::now();
        // The stamp is taken first: a change during the read is then seen at the next use.
        let stamp = stamps(&files).ok();
        let value = Mutex::new(Arc::new(read()?));
        let look = Look {
            stamp,
            retry: None,
            begun,
        };
        let followed = Followed {
            files,
            read: Box::new(read),
            look: Mutex::new(look),
            next: Mutex::new(begun),
            value,
            stale: AtomicBool::new(false),
        };
        Ok(Self {
            followed: Arc::new(followed),
            thread: OnceLock::new(),
        })
    }

    /// The value as the files have it now. The last good value serves if the files cannot be read, or do
    /// not fit together because only some are replaced yet, or if the file system stalls.
    pub async fn current(&self) -> Arc<T> {
        self.refresh().await;
        self.last()
    }

    /// Checks the files, and waits for that for a bounded time.
    pub async fn refresh(&self) {
        self.refresh_at(Instant::now()).await;
    }

    /// The value as of the last check.
    pub fn last(&self) -> Arc<T> {
        let value = self.followed.value.lock();
        Arc::clone(&value.unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the last check could not read the files, so that the value is an older one. Starts
    /// another check.
    pub fn is_stale(&self) -> bool {
        let now = Instant::now();
        if let Some(thread) = self.thread_at(now) {
            let followed = Arc::clone(&self.followed);
            // The next look will do.
            let _ = thread.queue(move || followed.look(now, now));
        }
        self.followed.stale.load(Ordering::Relaxed)
    }

    async fn refresh_at(&self, now: Instant) {
        if let Some(thread) = self.thread_at(now) {
            let (followed, asked) = (Arc::clone(&self.followed), Instant::now());
            // While it stalls, the last value serves.
            let _ = thread.run(move || followed.look(asked, now)).await;
        }
    }

    /// The thread that checks, unless the files are left alone for a while.
    fn thread_at(&self, now: Instant) -> Option<&FileThread> {
        if *lock(&self.followed.next) > now {
            return None;
        }
        let start = || {
            let thread = FileThread::start("reload");
            let report = |error| tracing::error!(%error, "changes of files are not noticed");
            thread.map_err(report).ok()
        };
        self.thread.get_or_init(start).as_ref()
    }
}

impl<T, E: fmt::Display> Followed<T, E> {
    /// Checks the files for a use that began at `asked`. One check serves all uses that began before
    /// it.
    fn look(&self, asked: Instant, now: Instant) {
        let mut look = lock(&self.look);
        if look.begun > asked {
            return;
        }
        look.begun = Instant::now();
        self.follow(&mut look, now);
        let took = look.begun.elapsed();
        if took >= SLOW {
            *lock(&self.next) = now + took + took.saturating_mul(REST).min(LONGEST_REST);
        }
    }

    fn follow(&self, look: &mut Look, now: Instant) {
        let stamp = stamps(&self.files).ok();
        let changed = stamp != look.stamp;
        if !changed && look.retry.as_ref().is_none_or(|(at, _)| *at > now) {
            return;
        }
        look.stamp = stamp;
        let read = (self.read)();
        self.stale.store(read.is_err(), Ordering::Relaxed);
        match read {
            Ok(value) => {
                tracing::info!(files = ?self.files, "reloaded");
                look.retry = None;
                *lock(&self.value) = Arc::new(value);
            }
            Err(error) => {
                let error = error.to_string();
                let known = look.retry.take().is_some_and(|(_, known)| known == error);
                if changed || !known {
                    tracing::error!(%error, files = ?self.files, "the files cannot be read again; the last value stays in force");
                }
                look.retry = Some((now + RETRY, error));
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T, E> fmt::Debug for Reloaded<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded")
            .field("files", &self.followed.files)
            .finish_non_exhaustive()
    }
}

fn stamps(files: &[PathBuf]) -> io::Result<Vec<Stamp>> {
    let mut stamps = Vec::new();
    for path in files {
        let meta = fs::metadata(path)?;
        stamps.push(Stamp::of(&meta));
        if meta.is_dir() {
            // A folder's time changes when files come or go, but not when one is written.
            let paths: io::Result<Vec<_>> =
                fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect();
            let mut paths = paths?;
            paths.sort();
            for path in paths {
                // A dangling link, such as an editor's lock, is no file.
                if let Ok(meta) = fs::metadata(path) {
                    stamps.push(Stamp::of(&meta));
                }
            }
        }
    }
    Ok(stamps)
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Self {
        Self {
            inode: meta.ino(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            size: meta.size(),
        }
    }
}

#[cfg(test)]
mod tests;
