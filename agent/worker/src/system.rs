//! Conversions of the kernel's types, for SFTP and scp.

use std::fmt::Display;

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
