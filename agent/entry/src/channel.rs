//! A SEQPACKET unix socket that carries messages of JSON, with descriptors beside them. A message is
//! whole or an error; what came with a broken one is closed.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    connect, recvmsg, sendmsg, socket_with, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::{MAX_DESCRIPTORS, MAX_MESSAGE};

/// Why there is no message.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(
        "a message is longer than {MAX_MESSAGE} bytes or has more than {MAX_DESCRIPTORS} descriptors"
    )]
    TooLong,
    #[error("a message cannot be read: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Whether it has only to be tried again once the socket is ready.
    pub fn would_block(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether only this message cannot be sent, and the next may be. So it is if it is too long, or if the
    /// system has no room for the descriptors beside it.
    pub fn is_of_the_message(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, WouldBlock};
        let of_the_socket = [BrokenPipe, ConnectionReset, NotConnected, WouldBlock];
        !matches!(self, Self::Io(error) if of_the_socket.contains(&error.kind()))
    }
}

/// One end of such a socket.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Connects to a node entry. Sending and receiving then never wait: `AsyncFd` says when to.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self(socket))
    }

    /// Two ends that wait.
    ///
    /// # Errors
    /// When the process has too many descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(one), Self(other)))
    }

    /// The user id of the process at the other end.
    ///
    /// # Errors
    /// The system's.
    pub fn peer(&self) -> io::Result<u32> {
        Ok(socket_peercred(&self.0)?.uid.as_raw())
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the socket does not take it; all of it or nothing is sent.
    pub fn send<T: Serialize>(&self, message: &T, beside: &[BorrowedFd<'_>]) -> Result<(), Error> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > MAX_MESSAGE || beside.len() > MAX_DESCRIPTORS {
            return Err(Error::TooLong);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !beside.is_empty() && !control.push(SendAncillaryMessage::ScmRights(beside)) {
            return Err(Error::TooLong);
        }
        loop {
            let sent = sendmsg(
                &self.0,
                &[IoSlice::new(&bytes)],
                &mut control,
                SendFlags::NOSIGNAL,
            );
            match sent {
                Err(rustix::io::Errno::INTR) => {}
                sent => return Ok(sent.map(drop).map_err(io::Error::from)?),
            }
        }
    }

    /// The next message with its descriptors, or none if the other end is closed. If not all descriptors
    /// could be had, because they are too many or this process has no room for them, there is none.
    ///
    /// # Errors
    /// When it is not a message.
    pub fn receive<T: DeserializeOwned>(&self) -> Result<Option<(T, Vec<OwnedFd>)>, Error> {
        let mut bytes = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.0, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                received => break received.map_err(io::Error::from)?,
            }
        };
        let mut descriptors: Vec<OwnedFd> = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                _ => None,
            })
            .flatten()
            .collect();
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(Error::TooLong);
        }
        if received.flags.contains(ReturnFlags::CTRUNC) || descriptors.len() > MAX_DESCRIPTORS {
            descriptors.clear();
        }
        match bytes.get(..received.bytes) {
            None | Some([]) => Ok(None),
            Some(message) => Ok(Some((serde_json::from_slice(message)?, descriptors))),
        }
    }
}

impl From<OwnedFd> for Channel {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_message_comes_with_its_descriptors() {
        let (one, other) = Channel::pair().unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        one.send(&vec![1, 2], &[reader.as_fd()]).unwrap();
        drop((reader, one));
        let (message, mut beside) = other.receive::<Vec<i32>>().unwrap().unwrap();
        assert_eq!((message, beside.len()), (vec![1, 2], 1));
        writer.write_all(b"x").unwrap();
        drop(writer);
        let mut read = String::new();
        std::fs::File::from(beside.remove(0))
            .read_to_string(&mut read)
            .unwrap();
        assert_eq!(read, "x");
        assert!(other.receive::<Vec<i32>>().unwrap().is_none(), "closed");
    }

    #[test]
    fn what_is_too_much_is_not_sent_and_too_many_descriptors_do_not_come() {
        let (one, other) = Channel::pair().unwrap();
        let long = "a".repeat(MAX_MESSAGE);
        assert!(matches!(one.send(&long, &[]), Err(Error::TooLong)));
        let many = [one.as_fd(); MAX_DESCRIPTORS + 1];
        assert!(matches!(one.send(&1, &many), Err(Error::TooLong)));
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&many)));
        sendmsg(
            &one,
            &[IoSlice::new(b"1")],
            &mut control,
            SendFlags::empty(),
        )
        .unwrap();
        let (message, beside) = other.receive::<i32>().unwrap().unwrap();
        assert_eq!((message, beside.len()), (1, 0));
        one.send(&"text", &[]).unwrap();
        assert!(matches!(other.receive::<i32>(), Err(Error::Json(_))));
    }
}
