//! A value read from files that are renewed beneath the program (a mounted Secret, a rotated
//! certificate), or from folders of such files. It is looked at when used, so no task watches and a
//! change serves the next use. Nobody waits for another's look, and slow files are looked at more rarely.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// After a read that failed for files that have not changed since: it may have been for want of
/// descriptors, or of rights given later.
const RETRY: Duration = Duration::from_secs(5);
/// A look that took less is no burden: the next use looks again, and has a change at once.
const SLOW: Duration = Duration::from_millis(100);
/// Between slow looks, in times of what the last one took: looking is a tenth of all at the most.
const REST: u32 = 9;
/// The same at the most, so that files that stall once are not left alone for long.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// What `read` makes of some files, made anew when one of them has changed.
pub struct Reloaded<T, E> {
    files: Vec<PathBuf>,
    read: Box<dyn Fn() -> Result<T, E> + Send + Sync>,
    /// Held while files are looked at: who finds it taken has the value as it is.
    look: Mutex<Look>,
    /// Held to take or to replace it, and for nothing else.
    value: Mutex<Arc<T>>,
    stale: AtomicBool,
}

/// The last look at the files.
struct Look {
    stamp: Option<Vec<Stamp>>,
    /// When to read again though nothing changes, and what was said of the read that failed.
    retry: Option<(Instant, String)>,
    next: Instant,
}

/// What tells that a file is another one than before.
#[derive(PartialEq, Eq)]
struct Stamp {
    inode: u64,
    modified: (i64, i64),
    size: u64,
}

impl<T, E: std::fmt::Display> Reloaded<T, E> {
    /// Reads for the first time; `files` are those, and the folders, that `read` reads.
    pub fn load(
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        // The stamp is taken first: a change during the read is then seen at the next use.
        let stamp = stamps(&files).ok();
        let value = Mutex::new(Arc::new(read()?));
        let look = Look {
            stamp,
            retry: None,
            next: Instant::now(),
        };
        Ok(Self {
            files,
            read: Box::new(read),
            look: Mutex::new(look),
            value,
            stale: AtomicBool::new(false),
        })
    }

    /// The value as the files have it now. Files that cannot be read, or do not fit together
    /// because only some are replaced yet, leave the last good value in place; and so does another
    /// who reads them at this moment.
    pub fn current(&self) -> Arc<T> {
        self.at(Instant::now())
    }

    /// Whether the files cannot be read as they are now, and the value is an older one.
    pub fn is_stale(&self) -> bool {
        self.current();
        self.stale.load(Ordering::Relaxed)
    }

    fn at(&self, now: Instant) -> Arc<T> {
        let look = match self.look.try_lock() {
            Ok(look) => Some(look),
            Err(TryLockError::Poisoned(look)) => Some(look.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(mut look) = look
            && look.next <= now
        {
            let begun = Instant::now();
            self.follow(&mut look, now);
            let took = begun.elapsed();
            if took >= SLOW {
                look.next = now + took + took.saturating_mul(REST).min(LONGEST_REST);
            }
        }
        Arc::clone(&self.value.lock().unwrap_or_else(PoisonError::into_inner))
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
                *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
            }
            Err(error) => {
                let error = error.to_string();
                let known = look.retry.take().is_some_and(|(_, known)| known == error);
                if changed || !known {
                    tracing::error!(%error, files = ?self.files, "not reloaded, the last value stays");
                }
                look.retry = Some((now + RETRY, error));
            }
        }
    }
}

impl<T, E> std::fmt::Debug for Reloaded<T, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloaded")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

fn stamps(files: &[PathBuf]) -> io::Result<Vec<Stamp>> {
    let mut stamps = Vec::new();
    for path in files {
        let meta = fs::metadata(path)?;
        stamps.push(Stamp::of(&meta));
        if meta.is_dir() {
            // A folder's own stamp tells what comes and goes, not what is written into a file.
            let paths: io::Result<Vec<_>> =
                fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect();
            let mut paths = paths?;
            paths.sort();
            for path in paths {
                // A link that leads nowhere, as an editor's lock, is no file.
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
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use super::*;

    /// A folder of its own for a test, and uses with more than any rest between them.
    fn begin(test: &str) -> (PathBuf, impl Iterator<Item = Instant>) {
        let name = format!("podgate-reload-{test}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        let begun = Instant::now();
        (dir, (1..).map(move |n| begun + n * 100 * LONGEST_REST))
    }

    fn replace(path: &Path, text: &str) {
        let draft = path.with_extension("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, path).unwrap();
    }

    #[test]
    fn follows_the_file_and_keeps_the_last_good_value() {
        let (dir, mut uses) = begin("follows");
        let path = dir.join("number");
        replace(&path, "1");
        let read = path.clone();
        let number = Reloaded::load(vec![path.clone()], move || {
            fs::read_to_string(&read).unwrap_or_default().parse::<u32>()
        })
        .unwrap();
        let mut current = || *number.at(uses.next().unwrap());
        assert_eq!(current(), 1);
        replace(&path, "22");
        assert_eq!(current(), 22);
        replace(&path, "not a number");
        assert_eq!(current(), 22);
        fs::remove_file(&path).unwrap();
        assert_eq!(current(), 22);
        replace(&path, "3");
        assert_eq!(current(), 3);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_read_that_failed_is_tried_again_though_nothing_changes() {
        let (dir, mut uses) = begin("again");
        let path = dir.join("list");
        replace(&path, "old");
        let (fails, reads) = (Arc::new(Mutex::new(false)), Arc::new(Mutex::new(0)));
        let (own, own_reads, file) = (fails.clone(), reads.clone(), path.clone());
        let list = Reloaded::load(vec![path.clone()], move || {
            *own_reads.lock().unwrap() += 1;
            match *own.lock().unwrap() {
                true => Err(io::Error::from_raw_os_error(24)),
                false => fs::read_to_string(&file),
            }
        })
        .unwrap();
        *fails.lock().unwrap() = true;
        replace(&path, "new");
        let failed = uses.next().unwrap();
        assert_eq!(*list.at(failed), "old");
        *fails.lock().unwrap() = false;
        // Not at every use: what is wrong with the files may stay so.
        assert_eq!(*list.at(failed + RETRY / 2), "old");
        assert_eq!(*reads.lock().unwrap(), 2);
        let later = uses.next().unwrap();
        assert_eq!(*list.at(later), "new");
        assert_eq!(*list.at(uses.next().unwrap()), "new");
        assert_eq!(*reads.lock().unwrap(), 3);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn nobody_waits_for_anothers_read() {
        let (dir, mut uses) = begin("waits");
        let path = dir.join("number");
        replace(&path, "1");
        let (reads, reading) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        // The first read is here, the second waits.
        go_on.send(()).unwrap();
        let (goes_on, file) = (Mutex::new(goes_on), path.clone());
        let number = Reloaded::load(vec![path.clone()], move || {
            reads.send(()).unwrap();
            goes_on.lock().unwrap().recv().unwrap();
            fs::read_to_string(&file)
        })
        .unwrap();
        reading.recv().unwrap();
        replace(&path, "22");
        let (first, second) = (uses.next().unwrap(), uses.next().unwrap());
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| number.at(first));
            reading.recv().unwrap();
            let other = scope.spawn(|| number.at(second));
            assert_eq!(*other.join().unwrap(), "1");
            go_on.send(()).unwrap();
            assert_eq!(*reader.join().unwrap(), "22");
        });
        fs::remove_dir_all(&dir).unwrap();
    }
}
