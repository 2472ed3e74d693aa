//! Ends everything that a containerd has left on the machine, without its help: it may be dead already,
//! and its shims outlive it by design. A failure is logged, and the rest goes on.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

use super::processes;

/// What every state folder's name starts with, in the folder for temporary files.
pub(super) const PREFIX: &str = "podgate-stand-";

/// For killed processes to be gone; the kernel needs milliseconds.
const GONE: Duration = Duration::from_secs(10);

/// Takes the lock that tells other processes that this folder's owner lives: the kernel lets go of
/// it however the owner ends.
pub(super) fn lock(dir: &Path) -> std::io::Result<File> {
    // The lock is held before it has the name that others look for.
    let made = dir.join("lock.new");
    let lock = File::create(&made)?;
    lock.lock()?;
    std::fs::rename(made, dir.join("lock"))?;
    Ok(lock)
}

/// Ends what killed owners have left.
pub(super) fn orphans() {
    for entry in std::fs::read_dir(std::env::temp_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        if !entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes())
        {
            continue;
        }
        let dir = entry.path();
        // Without a lock file, the folder is just being made or just being removed.
        let Ok(lock) = File::open(dir.join("lock")) else {
            continue;
        };
        match lock.try_lock() {
            Ok(()) => {
                tracing::warn!(dir = %dir.display(), "ending what a killed process left");
                everything(&dir);
                tried(std::fs::remove_dir_all(&dir), "folder", &dir);
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, dir = %dir.display(), "lock");
            }
        }
    }
}

/// Ends the processes, then takes away the cgroups, mounts and sockets of the stand in `dir`.
/// The folder itself is the caller's.
pub(super) fn everything(dir: &Path) {
    let cgroups = cgroups(dir);
    // Shims come first: they would restart nothing, but would write into the folder. A fork may slip
    // through, so this looks until nothing is left.
    let deadline = Instant::now() + GONE;
    loop {
        let mut left = processes::serving(dir);
        left.extend(cgroups.iter().flat_map(|cgroup| members(cgroup)));
        left.retain(|&pid| pid != std::process::id());
        if left.is_empty() {
            break;
        }
        if Instant::now() >= deadline {
            tracing::error!(?left, "processes left behind");
            break;
        }
        left.into_iter().for_each(kill);
        std::thread::sleep(Duration::from_millis(2));
    }
    for cgroup in &cgroups {
        remove_cgroup(cgroup);
    }
    // The newest first, because one mount may lie on another.
    for target in mounts(|mount| mount.target.starts_with(dir)).iter().rev() {
        tried(unmount(target, UnmountFlags::DETACH), "mount", target);
    }
    for socket in shim_sockets(dir) {
        let _ = std::fs::remove_file(socket);
    }
}

/// The cgroup all pods of the stand are below, as CRI wants it.
pub(super) fn cgroup_parent(dir: &Path) -> PathBuf {
    Path::new("/").join(dir.file_name().unwrap_or(OsStr::new(PREFIX)))
}

/// The stand's cgroups in each hierarchy that has them: the one for its own pods, and those of containers
/// that were started without a parent, as a kubelet's are.
fn cgroups(dir: &Path) -> Vec<PathBuf> {
    let roots = mounts(|mount| mount.kind.starts_with("cgroup"));
    let named = tasks(dir).filter_map(|task| {
        let config = std::fs::read(task.join("config.json")).ok()?;
        let config: serde_json::Value = serde_json::from_slice(&config).ok()?;
        let path = config.pointer("/linux/cgroupsPath")?.as_str()?;
        Some(PathBuf::from(path.strip_prefix('/')?))
    });
    let own = PathBuf::from(dir.file_name().unwrap_or_default());
    named
        .chain([own])
        .flat_map(|name| roots.iter().map(move |root| root.join(&name)))
        .filter(|cgroup| cgroup.is_dir())
        .collect()
}

/// The folders of the tasks of the stand in `dir`.
fn tasks(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    children(&dir.join("state/io.containerd.runtime.v2.task/k8s.io"))
}

fn children(cgroup: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(cgroup)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
}

fn members(cgroup: &Path) -> Vec<u32> {
    let listed = std::fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let own = listed.lines().filter_map(|pid| pid.parse().ok());
    own.chain(children(cgroup).flat_map(|child| members(&child)))
        .collect()
}

fn remove_cgroup(cgroup: &Path) {
    for child in children(cgroup) {
        remove_cgroup(&child);
    }
    // A cgroup stays busy for a moment after its last process was reaped.
    let deadline = Instant::now() + GONE;
    while let Err(error) = std::fs::remove_dir(cgroup) {
        let busy = error.kind() == std::io::ErrorKind::ResourceBusy;
        if !busy || Instant::now() >= deadline {
            tracing::error!(%error, cgroup = %cgroup.display(), "left behind");
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

struct Mount<'a> {
    target: &'a Path,
    kind: &'a str,
}

/// The targets of the mounts wanted, oldest first. A target appears once for each of its mounts.
fn mounts(wanted: impl Fn(&Mount) -> bool) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table
        .lines()
        .filter_map(|line| {
            // proc(5): the fifth field is the target; the type follows a lone dash.
            let (fields, source) = line.split_once(" - ")?;
            let target = Path::new(fields.split(' ').nth(4)?);
            let kind = source.split(' ').next()?;
            wanted(&Mount { target, kind }).then(|| target.to_path_buf())
        })
        .collect()
}

/// A shim's socket lies in a folder all containerds of a machine share, under a hash. Its path is in a
/// file of the task: `address` of containerd 1, `bootstrap.json` of containerd 2.
fn shim_sockets(dir: &Path) -> Vec<PathBuf> {
    tasks(dir)
        .flat_map(|task| ["address", "bootstrap.json"].map(|file| task.join(file)))
        .filter_map(|file| {
            let text = std::fs::read_to_string(file).ok()?;
            let (_, rest) = text.split_once("unix://")?;
            Some(PathBuf::from(rest.split('"').next()?.trim()))
        })
        .collect()
}

fn kill(pid: u32) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    match kill_process(pid, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => tracing::error!(%error, %pid, "kill"),
    }
}

fn tried<E: std::fmt::Display>(result: Result<(), E>, what: &str, path: &Path) {
    if let Err(error) = result {
        tracing::error!(%error, path = %path.display(), "{what} left behind");
    }
}
