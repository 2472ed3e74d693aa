//! What a process reads: a pipe, or a terminal of some size. It is opened through the descriptor's own
//! link in /proc, never by a path of its container. The link's text comes first: what it calls a file
//! is not touched, because that file system may no longer answer.

use std::os::fd::{AsRawFd, OwnedFd};

use procfs::process::Stat;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, major, openat};
use rustix::io::Errno;
use rustix::termios::tcgetwinsize;

use crate::descriptors::{self, Text};
use crate::look;
use podgate_helper::protocol::{ContainerId, Stdin};

/// Majors of the pseudo-terminals' replica side (Documentation/admin-guide/devices.txt).
const PTS: std::ops::RangeInclusive<u32> = 136..=143;

/// What descriptor 0 of a process is.
pub(crate) fn stdin(process: &Stat, container: &ContainerId) -> Stdin {
    let text = descriptors::text(process.pid, 0).unwrap_or_default();
    match descriptors::kind(&text) {
        Text::Pipe | Text::Terminal => {
            let seen = look::at(process, container, |pid| read(pid).ok());
            seen.ok().flatten().unwrap_or(Stdin::Other)
        }
        Text::Null | Text::Other => Stdin::Other,
    }
}

fn read(pid: i32) -> rustix::io::Result<Stdin> {
    let (kind, opened) = reopen(pid)?;
    Ok(match kind {
        Kind::Terminal => {
            let size = tcgetwinsize(&opened)?;
            let (columns, rows) = (size.ws_col, size.ws_row);
            Stdin::Terminal { columns, rows }
        }
        Kind::Pipe => {
            let mut polled = [PollFd::new(&opened, PollFlags::empty())];
            poll(&mut polled, Some(&Timespec::default()))?;
            let [polled] = polled;
            let hung_up = polled.revents().contains(PollFlags::HUP);
            Stdin::Pipe { hung_up }
        }
    })
}

enum Kind {
    Pipe,
    Terminal,
}

/// Opens descriptor 0 of a process, if it is a pipe or a terminal: another kind of device may do
/// something merely by being opened.
fn reopen(pid: i32) -> rustix::io::Result<(Kind, OwnedFd)> {
    let link = format!("/proc/{pid}/fd/0");
    let pinned = openat(CWD, link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&pinned)?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => Kind::Pipe,
        FileType::CharacterDevice if PTS.contains(&major(stat.st_rdev)) => Kind::Terminal,
        _ => return Err(Errno::INVAL),
    };
    let link = format!("/proc/self/fd/{}", pinned.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok((kind, openat(CWD, link, flags, Mode::empty())?))
}
