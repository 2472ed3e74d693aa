//! Processes of the node by /proc (proc(5)). What cannot be read counts as gone: a process may end
//! between two reads.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

use podgate_node_entry::protocol::Process;

/// Bytes that are read of a file of /proc, at most.
const MAX_FILE: u64 = 1024 * 1024;
/// Bits of the signal sets in /proc/PID/status.
const INT_AND_QUIT: u64 = 1 << 1 | 1 << 2;

/// What /proc/PID/stat says, as far as the entry asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: i32,
    pub(crate) state: u8,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    pub(crate) terminal: i32,
    pub(crate) foreground: i32,
    pub(crate) threads: i32,
    pub(crate) start_time: u64,
}

impl Stat {
    /// Whether it runs no more. One whose first thread alone has ended is a zombie with other threads.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X') && self.threads <= 1
    }

    pub(crate) fn process(&self) -> Process {
        Process {
            pid: self.pid,
            start_time: self.start_time,
        }
    }
}

/// A process writes its own name there, with any bytes; all else follows the last parenthesis.
fn parse(bytes: &[u8]) -> Option<Stat> {
    let open = bytes.iter().position(|&b| b == b'(')?;
    let close = bytes.iter().rposition(|&b| b == b')')?;
    let text = |range: &[u8]| String::from_utf8(range.to_vec()).ok();
    let pid = text(bytes.get(..open)?)?.trim().parse().ok()?;
    let rest = text(bytes.get(close + 1..)?)?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
    Some(Stat {
        pid,
        state: *fields.first()?.as_bytes().first()?,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        terminal: number(4)?,
        foreground: number(5)?,
        threads: number(17)?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

/// What is known of a pid.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    parse(&read(pid, "stat")?)
}

/// The process, if it is the one that is meant and has not ended.
pub(crate) fn find(process: Process) -> Option<Stat> {
    stat(process.pid).filter(|it| it.start_time == process.start_time && !it.has_ended())
}

/// All processes of the node.
pub(crate) fn all() -> impl Iterator<Item = Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(stat)
}

/// A file of /proc/PID, none if it is longer than what can be asked of it.
pub(crate) fn read(pid: i32, file: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let opened = File::open(format!("/proc/{pid}/{file}")).ok()?;
    let read = opened.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    ((read as u64) < MAX_FILE).then_some(bytes)
}

/// The rest of a line of /proc/PID/status.
pub(crate) fn status(pid: i32, field: &str) -> Option<String> {
    let bytes = read(pid, "status")?;
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let rest = lines.find_map(|line| line.strip_prefix(field.as_bytes()))?;
    Some(String::from_utf8_lossy(rest).trim().to_owned())
}

/// A descriptor of a process, as text: `pipe:[N]`, or a path. It is not followed.
pub(crate) fn descriptor(pid: i32, number: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()
}

/// The pipe's number, as [`descriptor`] shows it.
pub(crate) fn pipe_of(link: &std::path::Path) -> Option<u64> {
    let text = link.to_str()?.strip_prefix("pipe:[")?;
    text.strip_suffix(']')?.parse().ok()
}

/// Whether a process ignores SIGINT and SIGQUIT, as a shell without job control starts what stands
/// before `&` (POSIX Shell Command Language §2.11).
pub(crate) fn ignores_the_keyboard(pid: i32) -> bool {
    let set = status(pid, "SigIgn:").and_then(|set| u64::from_str_radix(&set, 16).ok());
    set.is_some_and(|set| set & INT_AND_QUIT == INT_AND_QUIT)
}

/// Processes, and all of these members that are below one of them.
pub(crate) fn with_descendants(mut found: HashSet<i32>, members: &[Stat]) -> HashSet<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for it in members {
        children.entry(it.parent).or_default().push(it.pid);
    }
    let mut left: Vec<i32> = found.iter().copied().collect();
    while let Some(pid) = left.pop() {
        for &child in children.get(&pid).into_iter().flatten() {
            if found.insert(child) {
                left.push(child);
            }
        }
    }
    found
}

/// A namespace of a process, by which two can be compared.
pub(crate) fn namespace(pid: &str, kind: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_any_bytes_is_skipped() {
        let tail = " S 4 5 6 34816 7 0 1 2 3 4 5 6 7 8 20 0 1 0 99 1000 2";
        let expect = Stat {
            pid: 9,
            state: b'S',
            parent: 4,
            group: 5,
            session: 6,
            terminal: 34816,
            foreground: 7,
            threads: 1,
            start_time: 99,
        };
        for name in [b"sh".as_slice(), b") Z 1 1 1 (", b"\xff\n"] {
            let line = [b"9 (", name, b")", tail.as_bytes()].concat();
            assert_eq!(parse(&line), Some(expect), "{name:?}");
        }
        for line in ["", "9 (sh", "9 (sh) S 4", "x (sh) S 4 5"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_process_has_ended_only_with_its_last_thread() {
        let stat = |state: &str, threads: u32| {
            let line = format!("9 (a) {state} 4 5 6 0 -1 0 1 2 3 4 5 6 7 8 20 0 {threads} 0 99");
            parse(line.as_bytes()).unwrap()
        };
        for (state, threads, ended) in [
            ("Z", 1, true),
            ("Z", 2, false),
            ("S", 1, false),
            ("X", 0, true),
        ] {
            assert_eq!(stat(state, threads).has_ended(), ended, "{state} {threads}");
        }
    }

    #[test]
    fn what_is_below_a_detached_one_is_found_however_deep() {
        let stat = |pid: i32| Stat {
            pid,
            state: b'S',
            parent: pid - 1,
            group: pid,
            session: 1,
            terminal: 0,
            foreground: -1,
            threads: 1,
            start_time: 1,
        };
        // A look costs so much for each of them at the most, and not for each pair.
        let chain: Vec<Stat> = (1..=200_000).rev().map(stat).collect();
        let below = with_descendants(HashSet::from([1000]), &chain);
        assert_eq!(below.len(), 199_001);
        assert!(below.contains(&1000) && !below.contains(&999));
    }

    #[test]
    fn this_process_is_found_and_no_other_of_its_pid() {
        let own = stat(std::process::id() as i32).unwrap();
        assert_eq!(find(own.process()).map(|it| it.pid), Some(own.pid));
        let other = Process {
            start_time: own.start_time + 1,
            ..own.process()
        };
        assert_eq!(find(other), None);
        assert!(all().any(|it| it.process() == own.process()));
    }

    #[test]
    fn a_pipe_is_known_by_its_number() {
        let pipe = |text: &str| pipe_of(std::path::Path::new(text));
        assert_eq!(pipe("pipe:[3244674]"), Some(3_244_674));
        assert_eq!(pipe("/pipe:[1]"), None);
        assert_eq!(pipe("socket:[1]"), None);
    }
}
