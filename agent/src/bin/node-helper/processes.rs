//! Processes of the node by /proc (proc(5)), and which container each is in. What cannot be read is
//! not there: a process may end between two reads.

use std::fs;

use procfs::process::{Process as Entry, Stat};
use rustix::fs::{AtFlags, CWD, FileType, major, minor, statat};

use crate::protocol::{ContainerId, Process};

/// Bit of SIGHUP in the signal sets of /proc/PID/status.
const HUP: u64 = 1;

/// All processes of the node.
pub(crate) fn all() -> impl Iterator<Item = Stat> {
    let entries = procfs::process::all_processes().into_iter().flatten();
    entries.flatten().filter_map(|entry| entry.stat().ok())
}

/// One process, if it is the one that is meant and has not ended.
pub(crate) fn find(process: &Process) -> Option<Stat> {
    let stat = stat(i32::try_from(process.pid).ok()?)?;
    let same = stat.starttime == process.start_time && !ended(&stat);
    (same && is_in(stat.pid, &process.container)).then_some(stat)
}

/// What /proc/PID/stat says.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    Entry::new(pid).ok()?.stat().ok()
}

/// Whether it waits to be reaped, and runs no more.
pub(crate) fn ended(stat: &Stat) -> bool {
    matches!(stat.state, 'Z' | 'X')
}

/// Whether a process is in a container, by the node's control groups.
pub(crate) fn is_in(pid: i32, container: &ContainerId) -> bool {
    let read = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let (own, theirs) = (read("self"), read(&pid.to_string()));
    theirs.lines().any(|line| {
        let mut words = line.splitn(3, ':');
        let (Some(hierarchy), Some(_), Some(path)) = (words.next(), words.next(), words.next())
        else {
            return false;
        };
        let mine = own
            .lines()
            .find(|line| line.split(':').next() == Some(hierarchy))
            .and_then(|line| line.splitn(3, ':').nth(2))
            .unwrap_or_default();
        container_of(path, mine) == Some(container.as_ref())
    })
}

/// The container's id in a control group's path. Below a container's group it may itself make
/// groups of any name, so the first id counts; a path that is this process's own, too, names
/// something that holds the whole node (a node that is a container itself).
fn container_of<'a>(path: &'a str, own: &str) -> Option<&'a str> {
    let (path, own) = (path.split('/'), own.split('/'));
    let mut shared = own.map(Some).chain(std::iter::repeat(None));
    let mut below = path.skip_while(move |word| shared.next() == Some(Some(*word)));
    below.find_map(id)
}

/// The id in one component: `ID`, `cri-containerd-ID.scope`, `crio-ID.scope`.
fn id(component: &str) -> Option<&str> {
    let word = component.trim_end_matches(".scope");
    let (front, id) = match word.rsplit_once('-') {
        Some((front, id)) => (front, id),
        None => ("", word),
    };
    // cri-o keeps the monitor of a container beside it.
    let sound = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    (sound && front != "crio-conmon").then_some(id)
}

/// Its pids from this program's namespace inwards.
pub(crate) fn pids(pid: i32) -> Vec<i32> {
    let status = Entry::new(pid).and_then(|entry| entry.status());
    status
        .ok()
        .and_then(|status| status.nspid)
        .unwrap_or_default()
}

/// Its arguments.
pub(crate) fn arguments(pid: i32) -> Vec<Vec<u8>> {
    words(pid, "cmdline")
}

/// Its environment at its start, `NAME=value`.
pub(crate) fn environment(pid: i32) -> Vec<Vec<u8>> {
    words(pid, "environ")
}

fn words(pid: i32, file: &str) -> Vec<Vec<u8>> {
    let mut bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
}

/// Whether it bears the marks of a background job of a shell without job control: POSIX gives such
/// a one /dev/null to read (Shell Command Language §2.9.3), and one that minds no hang-up is meant
/// to outlive its session.
pub(crate) fn is_background(pid: i32) -> bool {
    let status = Entry::new(pid).and_then(|entry| entry.status());
    let ignores = status.is_ok_and(|status| status.sigign & HUP != 0);
    ignores && reads_nothing(pid)
}

fn reads_nothing(pid: i32) -> bool {
    // The link is followed to what is open, not to a path of the container.
    statat(CWD, format!("/proc/{pid}/fd/0"), AtFlags::empty()).is_ok_and(|stdin| {
        FileType::from_raw_mode(stdin.st_mode) == FileType::CharacterDevice
            && (major(stdin.st_rdev), minor(stdin.st_rdev)) == (1, 3)
    })
}

/// Clock ticks since boot, as process start times are told.
pub(crate) fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let ticks = rustix::param::clock_ticks_per_second();
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds * ticks + nanoseconds * ticks / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_names_its_container() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let check = |path: &str, own: &str, expect: Option<&str>| {
            assert_eq!(container_of(path, own), expect, "{path} seen from {own}");
        };
        check(&format!("/k8s.io/{a}"), "/", Some(&a));
        let pod = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice";
        check(&format!("{pod}/cri-containerd-{a}.scope"), "/", Some(&a));
        check(&format!("{pod}/crio-{a}.scope/container"), "/", Some(&a));
        check(&format!("{pod}/crio-conmon-{a}.scope"), "/", None);
        // A group of another's name, made in one's own container.
        check(&format!("/k8s.io/{a}/{b}"), "/", Some(&a));
        // A node that runs in a container.
        check(
            &format!("/docker/{b}/k8s.io/{a}"),
            &format!("/docker/{b}"),
            Some(&a),
        );
        check(&format!("/docker/{b}/x"), &format!("/docker/{b}"), None);
        check("/system.slice/ssh.service", "/", None);
        check(&format!("/../../{a}"), "/", Some(&a));
    }

    #[test]
    fn this_process_is_found_and_no_other_of_its_pid() {
        let own = stat(std::process::id() as i32).unwrap();
        assert!(own.starttime <= now());
        assert_eq!(pids(own.pid).first(), Some(&own.pid));
        assert!(!arguments(own.pid).is_empty());
        let process = Process {
            container: "a".repeat(64).try_into().unwrap(),
            pid: own.pid as u32,
            start_time: own.starttime,
        };
        assert_eq!(find(&process).map(|stat| stat.pid), None, "in no container");
    }
}
