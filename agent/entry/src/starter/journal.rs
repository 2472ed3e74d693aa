//! Programs that this entry has started and that may still have to be hung up, a file each, for the
//! entry that follows. A start needs no entry before it: nothing but the launcher runs until the agent
//! says so, and it ends if this process does.
//!
//! Each entry writes into a folder of its own, so that two can share a node. A folder whose lock is
//! free was left behind; its files become the new entry's. A thread makes all calls on files.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use podgate_node_entry::ids::{ContainerId, Handle, User};
use podgate_node_entry::protocol::Process;

use super::fresh::fresh;
use super::session::{HungUp, Session};

/// Processes of an earlier boot are gone, and their numbers mean nothing (proc(5)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Bytes of a file, at the most.
const MAX_FILE: u64 = 16 * 1024;
/// Calls that wait, at the most.
const MOST: usize = 1024;
/// How long a start waits for the disk.
const TIME: Duration = Duration::from_secs(1);
const LOCK: &str = "lock";

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} must belong to the entry's user and be closed to others (mode 700)")]
    Open(PathBuf),
}

/// A program, as the next entry must know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) boot: String,
    pub(crate) handle: Handle,
    pub(crate) container: ContainerId,
    pub(crate) user: User,
    pub(crate) leader: Process,
    pub(crate) pipes: Option<[u64; 3]>,
    #[serde(default)]
    pub(crate) hung_up: Option<HungUp>,
}

impl Entry {
    pub(crate) fn session(&self) -> Session {
        Session {
            leader: self.leader,
            pipes: self.pipes,
            hung_up: self.hung_up,
        }
    }
}

enum Call {
    Put(Box<Entry>, SyncSender<()>),
    Remove(Handle),
    Finish(SyncSender<()>),
}

/// The thread's other end.
#[derive(Debug)]
pub(crate) struct Journal {
    boot: String,
    calls: SyncSender<Call>,
    _lock: File,
}

impl Journal {
    /// Opens the folder, or makes it, and takes over what earlier entries have left.
    pub(crate) fn open(folder: &Path) -> Result<(Self, HashMap<Handle, Entry>), Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        make(folder).map_err(failed(folder))?;
        let found = fs::symlink_metadata(folder).map_err(failed(folder))?;
        // Processes that the folder names are signalled, so nobody else may write there.
        let own = rustix::process::geteuid().as_raw();
        if !found.is_dir() || found.uid() != own || found.mode() & 0o077 != 0 {
            return Err(Error::Open(folder.to_owned()));
        }
        let boot = fs::read_to_string(BOOT_ID).map_err(failed(Path::new(BOOT_ID)))?;
        let boot = boot.trim().to_owned();
        let here = folder.join(format!("{:016x}", fresh()));
        make(&here).map_err(failed(&here))?;
        let lock = lock(&here).map_err(failed(&here))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => failed(&here)(io::ErrorKind::WouldBlock.into()),
            TryLockError::Error(source) => failed(&here)(source),
        })?;
        let mut left = HashMap::new();
        for found in fs::read_dir(folder).map_err(failed(folder))? {
            let there = found.map_err(failed(folder))?.path();
            if there == here {
                continue;
            }
            match take_over(&there, &here, &boot) {
                Ok(entries) => left.extend(entries.into_iter().map(|it| (it.handle, it))),
                Err(error) => eprintln!("podgate-node-entry: {}: {error}", there.display()),
            }
        }
        let (calls, queue) = sync_channel(MOST);
        let thread = thread::Builder::new().name("journal".into());
        let spawned = thread.spawn(move || write(&queue, &here));
        spawned.map_err(failed(folder))?;
        let this = Self {
            boot,
            calls,
            _lock: lock,
        };
        Ok((this, left))
    }

    pub(crate) fn boot(&self) -> &str {
        &self.boot
    }

    /// Writes an entry, and waits for that for a bounded time.
    pub(crate) fn put(&self, entry: Entry) {
        let handle = entry.handle;
        let written = self.send(entry);
        if written.is_none_or(|written| written.recv_timeout(TIME).is_err()) {
            eprintln!("podgate-node-entry: program {handle} is not in the journal yet");
        }
    }

    /// Writes an entry anew, and does not wait.
    pub(crate) fn update(&self, entry: Entry) {
        let handle = entry.handle;
        if self.send(entry).is_none() {
            eprintln!("podgate-node-entry: the hang-up of program {handle} is not in the journal");
        }
    }

    /// Has an entry written, and gives what tells that it is.
    fn send(&self, entry: Entry) -> Option<Receiver<()>> {
        let (done, written) = sync_channel(1);
        let sent = self.calls.try_send(Call::Put(Box::new(entry), done));
        sent.is_ok().then_some(written)
    }

    /// Waits for a bounded time until all is written.
    pub(crate) fn finish(&self) {
        let (done, finished) = sync_channel(1);
        let sent = self.calls.try_send(Call::Finish(done));
        if sent.is_err() || finished.recv_timeout(TIME).is_err() {
            eprintln!("podgate-node-entry: programs that have ended stay in the journal");
        }
    }

    /// Does not wait.
    pub(crate) fn remove(&self, handle: Handle) {
        if self.calls.try_send(Call::Remove(handle)).is_err() {
            eprintln!("podgate-node-entry: program {handle} stays in the journal");
        }
    }
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn lock(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    options.open(folder.join(LOCK))
}

fn path(folder: &Path, handle: Handle) -> PathBuf {
    folder.join(format!("{handle}.json"))
}

/// Takes an earlier entry's files, unless it lives.
fn take_over(there: &Path, here: &Path, boot: &str) -> io::Result<Vec<Entry>> {
    let held = lock(there)?;
    match held.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Vec::new()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut entries = Vec::new();
    for found in fs::read_dir(there)? {
        let file = found?.path();
        if file.extension().is_none_or(|it| it != "json") {
            continue;
        }
        match read(&file) {
            Ok(entry) if entry.boot == boot => {
                fs::rename(&file, path(here, entry.handle))?;
                entries.push(entry);
            }
            Ok(_) => {}
            // It was cut off while it was written, so the program was not let go on.
            Err(error) => eprintln!("podgate-node-entry: {}: {error}", file.display()),
        }
    }
    fs::remove_dir_all(there)?;
    Ok(entries)
}

fn read(file: &Path) -> io::Result<Entry> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn write(queue: &Receiver<Call>, folder: &Path) {
    for call in queue {
        let (done, handle) = match call {
            Call::Put(entry, done) => {
                let put = put(&path(folder, entry.handle), &entry);
                // Nobody waits any more if it took too long.
                let _ = done.try_send(());
                (put, entry.handle)
            }
            Call::Finish(done) => {
                // Nobody waits any more if it took too long.
                let _ = done.try_send(());
                continue;
            }
            Call::Remove(handle) => match fs::remove_file(path(folder, handle)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => (Ok(()), handle),
                removed => (removed, handle),
            },
        };
        if let Err(error) = done {
            eprintln!("podgate-node-entry: journal, program {handle}: {error}");
        }
    }
}

/// Writes a file so that it is complete or missing, whenever this process is killed.
fn put(path: &Path, entry: &Entry) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&serde_json::to_vec(entry)?)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(boot: &str, number: u64) -> Entry {
        Entry {
            boot: boot.to_owned(),
            handle: Handle(number),
            container: "a".repeat(64).try_into().unwrap(),
            user: "ann".to_owned().try_into().unwrap(),
            leader: Process {
                pid: 7,
                start_time: 9,
            },
            pipes: Some([1, 2, 3]),
            hung_up: None,
        }
    }

    /// The folder of the only entry.
    fn first_folder(folder: &Path) -> PathBuf {
        fs::read_dir(folder)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path()
    }

    fn folder(name: &str) -> PathBuf {
        let folder = format!("podgate-entry-journal-{name}-{}", std::process::id());
        std::env::temp_dir().join(folder)
    }

    #[test]
    fn the_next_entry_takes_over_what_a_dead_one_left_and_nothing_of_a_living_one() {
        let folder = folder("next");
        let (first, left) = Journal::open(&folder).unwrap();
        assert!(left.is_empty());
        let boot = first.boot().to_owned();
        for number in 1..=3 {
            first.put(entry(&boot, number));
        }
        first.put(entry("another boot", 4));
        first.remove(Handle(2));
        first.put(entry(&boot, 1));
        first.remove(Handle(1));
        first.finish();
        assert!(!path(&first_folder(&folder), Handle(1)).exists());
        first.put(entry(&boot, 1));
        let (second, left) = Journal::open(&folder).unwrap();
        assert!(left.is_empty(), "the first lives");
        drop(first);
        let (third, left) = Journal::open(&folder).unwrap();
        let mut handles: Vec<_> = left.keys().copied().collect();
        handles.sort();
        assert_eq!(handles, [Handle(1), Handle(3)]);
        assert_eq!(left.get(&Handle(1)), Some(&entry(&boot, 1)));
        drop((second, third));
        let (_, left) = Journal::open(&folder).unwrap();
        assert_eq!(left.len(), 2, "they are still in the journal");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_that_is_open_to_others_is_refused_and_what_is_broken_is_dropped() {
        let folder = folder("open");
        let (journal, _) = Journal::open(&folder).unwrap();
        drop(journal);
        let there = fs::read_dir(&folder)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        fs::write(there.join("b.json"), "{").unwrap();
        fs::write(there.join("c.new"), "").unwrap();
        let (journal, left) = Journal::open(&folder).unwrap();
        assert!(left.is_empty() && !there.exists());
        drop(journal);
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert!(matches!(Journal::open(&folder), Err(Error::Open(_))));
        fs::remove_dir_all(&folder).unwrap();
    }
}
