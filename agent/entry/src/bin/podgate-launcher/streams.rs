//! The program's input and output, before it runs.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{FileType, fstat};
use rustix::termios::isatty;

/// Whether stdin, stdout and stderr are what the agent has given. SELinux puts /dev/null in the place of what a
/// container may not have, and a program would run with empty input and output.
pub(crate) fn are_given() -> bool {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]
        .into_iter()
        .all(|stream| {
            let kind = fstat(stream).map(|found| FileType::from_raw_mode(found.st_mode));
            matches!(kind, Ok(FileType::Fifo | FileType::Socket)) || isatty(stream)
        })
}
