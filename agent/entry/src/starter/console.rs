//! The socket on which a runtime hands over the master of a terminal (`--console-socket`): one message
//! with one descriptor.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::termios::isatty;

use super::scratch::Scratch;

/// The socket's name in a start's folder.
pub(crate) const NAME: &str = "console";
/// Bytes of the message, at the most: the terminal's name.
const MAX_NAME: usize = 4096;
/// How long the runtime, which has ended by then, may have taken to say it.
const TIME: Duration = Duration::from_secs(1);

/// A socket that a runtime is given.
#[derive(Debug)]
pub(crate) struct Console(UnixListener);

impl Console {
    pub(crate) fn listen(scratch: &Scratch) -> io::Result<Self> {
        Ok(Self(UnixListener::bind(scratch.path(NAME))?))
    }

    /// The terminal's master, once the runtime has ended well.
    pub(crate) fn master(&self) -> io::Result<OwnedFd> {
        wait(&self.0)?;
        let (stream, _) = self.0.accept()?;
        let master = receive(&stream)?;
        if isatty(&master) {
            Ok(master)
        } else {
            Err(io::Error::other("it is no terminal"))
        }
    }
}

fn wait(socket: &impl AsFd) -> io::Result<()> {
    let time = Timespec::try_from(TIME).map_err(io::Error::other)?;
    let ready = poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&time))?;
    if ready == 0 {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(())
    }
}

fn receive(stream: &UnixStream) -> io::Result<OwnedFd> {
    wait(stream)?;
    let mut name = [0; MAX_NAME];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut name)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut masters = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let master = masters.next().and_then(|mut fds| fds.next());
    master.ok_or_else(|| io::Error::other("the runtime gave no terminal"))
}
