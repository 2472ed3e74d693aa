//! The node's processes by /proc (proc(5)), and the container of each. A process that cannot be read
//! counts as gone: it may end between two reads.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::sync::LazyLock;

use procfs::process::{Process as Entry, Stat};

use crate::control_groups;
use crate::look::{self, Hangs};
use podgate_helper::protocol::{ContainerId, Process};

/// Bytes of a process's arguments or environment that are read, at most: what the kernel accepts of
/// both with the usual limit on stacks (execve(2)).
const MAX_WORDS: usize = 2 * 1024 * 1024;
/// Bytes of /proc/PID/status, at the most; most are about 1.5 KiB.
const MAX_STATUS: usize = 64 * 1024;
/// Bytes of /proc/PID/cgroup, at the most: a path for each of a dozen hierarchies (PATH_MAX).
const MAX_GROUPS: usize = 64 * 1024;

/// All processes of the node.
pub(crate) fn all() -> impl Iterator<Item = Stat> {
    let entries = procfs::process::all_processes().into_iter().flatten();
    entries.flatten().filter_map(|entry| entry.stat().ok())
}

/// The process, if it still is the one that is meant and has not ended.
pub(crate) fn find(process: &Process) -> Option<Stat> {
    let stat = stat(i32::try_from(process.pid).ok()?)?;
    let same = stat.starttime == process.start_time && !ended(&stat);
    (same && is_in(stat.pid, &process.container)).then_some(stat)
}

/// What /proc/PID/stat says.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    Entry::new(pid).ok()?.stat().ok()
}

/// Whether it is a zombie, which waits to be reaped and runs no more. One whose first thread alone has ended
/// looks like one, and has other threads.
pub(crate) fn ended(stat: &Stat) -> bool {
    matches!(stat.state, 'Z' | 'X') && stat.num_threads <= 1
}

/// Whether a process is in a container, by the node's control groups.
pub(crate) fn is_in(pid: i32, container: &ContainerId) -> bool {
    containers(pid).iter().any(|id| id == container.as_ref())
}

/// The container of a process as each hierarchy of control groups has it.
fn containers(pid: i32) -> Vec<String> {
    control_groups::containers(&groups(&pid.to_string()), &OWN)
}

/// This program's own control groups. They stay as they were at its start.
static OWN: LazyLock<String> = LazyLock::new(|| groups("self"));

/// The control groups of a process. A container may give the groups below its own any name, in any
/// bytes.
fn groups(pid: &str) -> String {
    let bytes = read(pid, "cgroup", MAX_GROUPS);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a process is in any container.
pub(crate) fn is_in_any(pid: i32) -> bool {
    !containers(pid).is_empty()
}

/// Its pids from this program's namespace inwards.
pub(crate) fn pids(pid: i32) -> Vec<i32> {
    numbers(pid, "NSpid:")
}

/// Its session's number, which is its leader's pid, from this program's namespace inwards.
pub(crate) fn sessions(pid: i32) -> Vec<i32> {
    numbers(pid, "NSsid:")
}

fn numbers(pid: i32, field: &str) -> Vec<i32> {
    let line = status(pid, field).unwrap_or_default();
    let words = line.split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

/// Whether its arguments are these.
pub(crate) fn has_words(
    process: &Stat,
    container: &ContainerId,
    words: &[String],
) -> Result<bool, Hangs> {
    let expect: Vec<u8> = words
        .iter()
        .flat_map(|word| [word.as_bytes(), b"\0"].concat())
        .collect();
    let most = expect.len() + 1;
    let seen = look::at(process, container, move |pid| read(pid, "cmdline", most))?;
    Ok(seen == expect)
}

/// Whether its arguments or its environment bear a session's mark.
pub(crate) fn has_mark(
    process: &Stat,
    container: &ContainerId,
    session: &str,
) -> Result<bool, Hangs> {
    let marks = [
        ("cmdline", format!("podgate:{session}")),
        ("environ", format!("PODGATE_SESSION={session}")),
    ];
    look::at(process, container, move |pid| {
        marks.iter().any(|(file, mark)| {
            let bytes = read(pid, file, MAX_WORDS);
            let mut words = bytes.split(|&byte| byte == 0);
            words.any(|word| word == mark.as_bytes())
        })
    })
}

/// Whether it is the shell that stands in front of a program without a terminal.
pub(crate) fn waits_for_program(process: &Stat, container: &ContainerId) -> Result<bool, Hangs> {
    look::at(process, container, |pid| {
        let bytes = read(pid, "cmdline", MAX_WORDS);
        let name = bytes.split(|&byte| byte == 0).nth(3);
        name.is_some_and(|name| name.starts_with(b"podgate:"))
    })
}

/// The first bytes of a file of /proc/PID. A process decides itself how long the file is.
fn read(pid: impl Display, file: &str, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/{file}")) {
        // After an error the text is incomplete and must match nothing.
        let _ = file.take(most as u64).read_to_end(&mut bytes);
    }
    bytes
}

/// The rest of a line of /proc/PID/status. The process's own name is in there too, and may hold any
/// bytes.
fn status(pid: i32, field: &str) -> Option<String> {
    let bytes = read(pid, "status", MAX_STATUS);
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let rest = lines.find_map(|line| line.strip_prefix(field.as_bytes()))?;
    Some(String::from_utf8_lossy(rest).trim().to_owned())
}

/// Whether it ignores all signals of a set: bit 0 is signal 1.
pub(crate) fn ignores(pid: i32, signals: u64) -> bool {
    status(pid, "SigIgn:")
        .and_then(|set| u64::from_str_radix(&set, 16).ok())
        .is_some_and(|set| set & signals == signals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_and_no_other_of_its_pid() {
        let own = stat(std::process::id() as i32).unwrap();
        assert!(own.starttime <= podgate_helper::ticks::now());
        assert_eq!(pids(own.pid).first(), Some(&own.pid));
        assert_eq!(sessions(own.pid).first(), Some(&own.session));
        assert!(!ignores(own.pid, 1 << 8), "nothing ignores SIGKILL");
        let process = Process {
            container: "a".repeat(64).try_into().unwrap(),
            pid: own.pid as u32,
            start_time: own.starttime,
        };
        assert_eq!(find(&process).map(|stat| stat.pid), None, "in no container");
    }
}
