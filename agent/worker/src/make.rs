//! Makes sockets in the container for the agent, which moves their bytes. It never waits for a peer: a
//! socket is handed over while it still connects.

use std::fs::File as Opened;
use std::io::{self, IoSlice, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use podgate_worker::kind::kind;
use podgate_worker::sockets::{Action, Answer, File, MAX_FILE, MAX_REQUEST, Request};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    connect, recv, sendmsg, socket_with,
};

/// What goes beside an answer, or in it.
enum Made {
    Socket(OwnedFd),
    Bytes(Vec<u8>),
}

/// Answers requests until the agent closes its end.
pub(crate) fn serve(agent: &impl AsFd) -> io::Result<()> {
    let mut bytes = [0; MAX_REQUEST];
    loop {
        let length = match recv(agent, &mut bytes[..], RecvFlags::empty()) {
            Ok((0, _)) | Err(Errno::CONNRESET) => return Ok(()),
            Ok((length, _)) => length,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let request = bytes.get(..length).and_then(Request::parse);
        let Request { number, action } = request.ok_or(io::ErrorKind::InvalidData)?;
        let (outcome, socket) = match make(&action) {
            Ok(Made::Bytes(bytes)) => (Ok(bytes), None),
            Ok(Made::Socket(socket)) => (Ok(Vec::new()), Some(socket)),
            Err(errno) => (Err(errno.raw_os_error()), None),
        };
        let answer = Answer { number, outcome };
        match give(agent, &answer.encode(), socket.as_ref()) {
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(()),
            given => given?,
        }
    }
}

fn make(action: &Action) -> Result<Made, Errno> {
    match action {
        Action::Read(File::Hosts) => read("/etc/hosts").map(Made::Bytes),
        Action::Read(File::Resolver) => read("/etc/resolv.conf").map(Made::Bytes),
        Action::Connect(_, address) => {
            let socket = socket(action)?;
            match connect(&socket, address) {
                Ok(()) | Err(Errno::INPROGRESS) => Ok(Made::Socket(socket)),
                Err(error) => Err(error),
            }
        }
        Action::ConnectUnix(path) => {
            let socket = socket(action)?;
            // Its answer is EAGAIN while the other's queue is full.
            connect(&socket, &SocketAddrUnix::new(path.as_slice())?)?;
            Ok(Made::Socket(socket))
        }
    }
}

fn socket(action: &Action) -> Result<OwnedFd, Errno> {
    let (family, kind) = kind(action).ok_or(Errno::INVAL)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(family, kind, flags, None)
}

/// Reads a regular file. Whatever else is at its path might never end.
fn read(path: &str) -> Result<Vec<u8>, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open(path, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    let read = Opened::from(file).take(most).read_to_end(&mut bytes);
    read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(bytes)
}

fn give(agent: &impl AsFd, bytes: &[u8], socket: Option<&OwnedFd>) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let sockets: Vec<_> = socket.into_iter().map(AsFd::as_fd).collect();
    if !sockets.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(Errno::NOBUFS);
    }
    loop {
        match sendmsg(
            agent,
            &[IoSlice::new(bytes)],
            &mut beside,
            SendFlags::NOSIGNAL,
        ) {
            Err(Errno::INTR) => {}
            sent => return sent.map(drop),
        }
    }
}
