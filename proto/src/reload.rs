//! A value read from files that are renewed beneath the program (a mounted Secret, a rotated
//! certificate), or from folders of such files. It is looked at when used, so no task watches and a change serves the next use.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What `read` makes of some files, made anew when one of them has changed.
pub struct Reloaded<T, E> {
    files: Vec<PathBuf>,
    read: Box<dyn Fn() -> Result<T, E> + Send + Sync>,
    last: Mutex<(Option<Vec<Stamp>>, Arc<T>)>,
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
        let value = Arc::new(read()?);
        Ok(Self {
            files,
            read: Box::new(read),
            last: Mutex::new((stamp, value)),
        })
    }

    /// The value as the files have it now. Files that cannot be read, or do not fit together
    /// because only some are replaced yet, leave the last good value in place.
    pub fn current(&self) -> Arc<T> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamps(&self.files).ok();
        if stamp != last.0 {
            match (self.read)() {
                Ok(value) => {
                    tracing::info!(files = ?self.files, "reloaded");
                    *last = (stamp, Arc::new(value));
                }
                Err(error) => {
                    // Not looked at again before it changes again.
                    last.0 = stamp;
                    tracing::error!(%error, files = ?self.files, "not reloaded, the last value stays");
                }
            }
        }
        Arc::clone(&last.1)
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
                stamps.push(Stamp::of(&fs::metadata(path)?));
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
    use super::*;

    #[test]
    fn follows_the_file_and_keeps_the_last_good_value() {
        let dir = std::env::temp_dir().join(format!("podgate-reload-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("number");
        let replace = |text: &str| {
            fs::write(dir.join("new"), text).unwrap();
            fs::rename(dir.join("new"), &path).unwrap();
        };
        replace("1");
        let read = path.clone();
        let number = Reloaded::load(vec![path.clone()], move || {
            fs::read_to_string(&read).unwrap_or_default().parse::<u32>()
        })
        .unwrap();
        assert_eq!(*number.current(), 1);
        replace("22");
        assert_eq!(*number.current(), 22);
        replace("not a number");
        assert_eq!(*number.current(), 22);
        fs::remove_file(&path).unwrap();
        assert_eq!(*number.current(), 22);
        replace("3");
        assert_eq!(*number.current(), 3);
        fs::remove_dir_all(&dir).unwrap();
    }
}
