//! Which agent a file of the journal belongs to. Agents of one node may share the folder: a new one comes before
//! the old one goes. Each holds a lock there, and its name stands before those of its files. An agent whose lock
//! is free is gone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Agents that one folder can have, with those that are gone.
const MOST: u32 = 64;
/// The end of a lock's name.
const LOCK: &str = ".lock";
/// The lock of agents up to 0.1, whose files have no name before them.
const EARLIER: &str = "lock";

/// This agent.
#[derive(Debug)]
pub(super) struct Owner {
    /// What its files' names begin with.
    prefix: String,
}

/// Held while the agent lives.
#[derive(Debug)]
pub(super) struct Lock(#[allow(dead_code, reason = "it is held, not used")] File);

impl Owner {
    /// A new one; none if the folder has too many.
    pub(super) fn new(folder: &Path) -> io::Result<Option<(Self, Lock)>> {
        for number in 0..MOST {
            let path = folder.join(format!("{number}{LOCK}"));
            let mut options = OpenOptions::new();
            let lock = match options.create_new(true).write(true).mode(0o600).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            // Another agent may have taken it for one of an agent that is gone, and removed it.
            if try_lock(&lock)? && lock.metadata()?.nlink() > 0 {
                let prefix = format!("{number}.");
                return Ok(Some((Self { prefix }, Lock(lock))));
            }
        }
        Ok(None)
    }

    /// The name of a session's file.
    pub(super) fn file(&self, session: &str) -> String {
        format!("{}{session}.json", self.prefix)
    }
}

/// An agent that is gone.
#[derive(Debug)]
pub(super) struct Gone {
    /// What its files' names begin with.
    prefix: String,
    path: PathBuf,
    /// Held so that no other agent takes its files, too.
    _lock: Lock,
}

/// All that are gone.
pub(super) fn gone(folder: &Path) -> io::Result<Vec<Gone>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let prefix = match name {
            Some(EARLIER) => String::new(),
            Some(name) => match name.strip_suffix(LOCK) {
                Some(agent) => format!("{agent}."),
                None => continue,
            },
            None => continue,
        };
        let lock = match OpenOptions::new().write(true).open(&path) {
            // Another agent was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened?,
        };
        if try_lock(&lock)? {
            let _lock = Lock(lock);
            all.push(Gone {
                prefix,
                path,
                _lock,
            });
        }
    }
    Ok(all)
}

impl Gone {
    /// Whether a file is its own.
    pub(super) fn owns(&self, file: &str) -> bool {
        let rest = file.strip_prefix(&self.prefix);
        rest.is_some_and(|rest| {
            let mut parts = rest.split('.');
            let _session = parts.next();
            matches!(parts.next(), Some("json" | "new")) && parts.next().is_none()
        })
    }

    /// The name of a session's file.
    pub(super) fn file(&self, session: &str) -> String {
        format!("{}{session}.json", self.prefix)
    }

    /// Removes its lock. It has no files any more.
    pub(super) fn forget(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

fn try_lock(lock: &File) -> io::Result<bool> {
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
