//! Reading and writing descriptors that do not block, straight from and into the buffers of the link.

use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use crate::room::Room;

/// Bytes that are read at once from a program that says little.
const MIN_ROOM: usize = 1024;

/// A descriptor that tells when it is ready.
pub(super) type Watched = AsyncFd<OwnedFd>;

/// What a read has found.
#[derive(Debug)]
pub(super) enum Read {
    Bytes(Bytes),
    /// Nothing yet.
    Nothing,
    /// Nobody writes there any more.
    End,
}

/// What is read of a program.
#[derive(Debug)]
pub(super) struct Reads(Room);

impl Default for Reads {
    fn default() -> Self {
        Self(Room::at_least(MIN_ROOM))
    }
}

impl Reads {
    /// Reads what is there, if anything.
    pub(super) fn read(&mut self, from: &OwnedFd) -> io::Result<Read> {
        let mut bytes = Vec::with_capacity(self.0.now());
        loop {
            match rustix::io::read(from, spare_capacity(&mut bytes)) {
                Ok(0) => return Ok(Read::End),
                Ok(read) => {
                    self.0.found(read);
                    return Ok(Read::Bytes(bytes.into()));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Read::Nothing),
                // A terminal that nobody has open.
                Err(Errno::IO) => return Ok(Read::End),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until there is something to read. Nothing is lost if it is dropped half way.
    pub(super) async fn next(&mut self, from: &Watched) -> io::Result<Option<Bytes>> {
        loop {
            let mut ready = from.readable().await?;
            match self.read(from.get_ref())? {
                Read::Bytes(bytes) => return Ok(Some(bytes)),
                Read::Nothing => ready.clear_ready(),
                Read::End => return Ok(None),
            }
        }
    }
}

/// Writes what fits; how much that was. None if nobody reads there any more.
pub(super) fn write(to: &OwnedFd, bytes: &[u8]) -> io::Result<Option<usize>> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match rustix::io::write(to, rest) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(Errno::PIPE | Errno::IO) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(written))
}
