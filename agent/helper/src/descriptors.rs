//! What a process has open, by the text of the links in /proc/PID/fd (proc(5)). Reading a link's text
//! asks no file system. Only a descriptor whose text names a pipe, a terminal or /dev/null is itself
//! looked at.

use procfs::process::Stat;
use rustix::fs::{AtFlags, CWD, FileType, major, minor, readlinkat, statat};
use rustix::io::Errno;

use crate::look;
use podgate_helper::protocol::ContainerId;

/// Descriptors that a runtime may have given to a session's leader.
const GIVEN: std::ops::RangeInclusive<u32> = 0..=3;

/// What a descriptor is, as its link says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Pipe,
    Terminal,
    Null,
    Other,
}

/// What a link's text says.
pub(crate) fn kind(text: &[u8]) -> Text {
    if text.starts_with(b"pipe:[") {
        return Text::Pipe;
    }
    // A process with another root has its own /dev there.
    let Some(at) = text.windows(5).rposition(|window| window == b"/dev/") else {
        return Text::Other;
    };
    let device = text.get(at + 5..).unwrap_or_default();
    match device {
        b"null" => Text::Null,
        b"console" => Text::Terminal,
        device if is_numbered(device, b"pts/") || is_numbered(device, b"tty") => Text::Terminal,
        _ => Text::Other,
    }
}

fn is_numbered(device: &[u8], name: &[u8]) -> bool {
    let number = device.strip_prefix(name);
    number.is_some_and(|number| number.iter().all(u8::is_ascii_digit))
}

/// The text of a link.
pub(crate) fn text(pid: i32, descriptor: u32) -> rustix::io::Result<Vec<u8>> {
    let link = format!("/proc/{pid}/fd/{descriptor}");
    Ok(readlinkat(CWD, link, Vec::new())?.into_bytes())
}

/// Whether a text names a pipe or a socket. No other descriptor has that name.
fn is_unique(text: &[u8]) -> bool {
    text.starts_with(b"pipe:[") || text.starts_with(b"socket:[")
}

/// The pipes and sockets that a session's leader was given.
pub(crate) fn given(leader: i32) -> Vec<String> {
    let texts = GIVEN.filter_map(|descriptor| text(leader, descriptor).ok());
    let unique = texts.filter(|text| is_unique(text));
    unique
        .filter_map(|text| String::from_utf8(text).ok())
        .collect()
}

/// Whether stdout or stderr of a process is the session's. If it is no longer known what the session
/// was given, every pipe and socket counts as the session's.
pub(crate) fn holds(pid: i32, given: &[String]) -> bool {
    [1, 2]
        .into_iter()
        .any(|descriptor| match text(pid, descriptor) {
            Ok(text) if given.is_empty() => is_unique(&text),
            Ok(text) => given.iter().any(|one| one.as_bytes() == text),
            Err(error) => error != Errno::NOENT,
        })
}

/// Whether a process reads /dev/null.
pub(crate) fn reads_nothing(process: &Stat, container: &ContainerId) -> bool {
    text(process.pid, 0).is_ok_and(|text| kind(&text) == Text::Null)
        && look::at(process, container, is_null).unwrap_or(false)
}

fn is_null(pid: i32) -> bool {
    // The link is followed to what is open, not to a path of the container.
    statat(CWD, format!("/proc/{pid}/fd/0"), AtFlags::empty()).is_ok_and(|stdin| {
        FileType::from_raw_mode(stdin.st_mode) == FileType::CharacterDevice
            && (major(stdin.st_rdev), minor(stdin.st_rdev)) == (1, 3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_what_is_looked_at() {
        let check = |text: &str, expect| assert_eq!(kind(text.as_bytes()), expect, "{text}");
        check("pipe:[4711]", Text::Pipe);
        check("/dev/null", Text::Null);
        check("/jail/dev/null", Text::Null);
        check("/dev/pts/0", Text::Terminal);
        check("/jail/dev/pts/12", Text::Terminal);
        check("/dev/console", Text::Terminal);
        for other in [
            "socket:[1]",
            "/mnt/nfs/log",
            "/mnt/pipe:[1]",
            "/dev/pts/0 (deleted)",
            "/dev/nullx",
            "/dev/null/x",
            "/dev/mem",
            "",
        ] {
            check(other, Text::Other);
        }
        assert_eq!(kind(b"/mnt/\xff"), Text::Other);
    }
}
