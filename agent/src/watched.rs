//! Descriptors that tell a core's runtime when they are ready.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::ioctl_fionbio;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor, on which nothing blocks from now on.
pub(crate) fn watch_unblocked<T: AsRawFd + AsFd>(
    owner: T,
    interest: Interest,
) -> io::Result<AsyncFd<T>> {
    ioctl_fionbio(&owner, true)?;
    watch(owner, interest)
}

/// Watches a descriptor that does not block.
#[allow(
    deprecated,
    reason = "the other constructor is unsafe; whatever owns a descriptor gives the same one each time"
)]
pub(crate) fn watch<T: AsRawFd + AsFd>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(owner, interest)
}
