//! Conversions of the kernel's types, for SFTP and scp, and calls that have no safe wrapper.

use std::fmt::Display;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};

use rustix::fs::{Timespec, Timestamps};

/// Times in seconds since 1970.
pub(crate) fn timestamps(accessed: u32, changed: u32) -> Timestamps {
    let time = |seconds: u32| Timespec {
        tv_sec: seconds.into(),
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time(accessed),
        last_modification: time(changed),
    }
}

/// An error in the system's words, without the number that std adds: " (os error 28)".
pub(crate) fn words(error: &dyn Display) -> String {
    let mut words = error.to_string();
    if let Some(end) = words.find(" (os error") {
        words.truncate(end);
    }
    words
}

/// Closes a file that was written to, and tells what only closing it shows: a network's file system may
/// write its bytes only then.
#[allow(
    unsafe_code,
    reason = "close(2) has no safe wrapper that tells its error"
)]
pub(crate) fn close(file: impl Into<OwnedFd>) -> io::Result<()> {
    let number = file.into().into_raw_fd();
    // Safety: it was owned, and nobody has its number any more.
    match unsafe { libc::close(number) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has SIGHUP change nothing. Whoever hangs up the worker also closes its stdin, and at the end of that it
/// removes the sockets that it has made.
#[allow(unsafe_code, reason = "signal(2) has no safe wrapper")]
pub(crate) fn ignore_hangups() -> io::Result<()> {
    // Safety: SIG_IGN is no function of this process.
    match unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
