//! Makes sockets in the container for the agent, which moves their bytes. It never waits for a peer: a
//! socket is handed over while it still connects, and one that listens as soon as it does.

use std::fs::File as Opened;
use std::io::{self, IoSlice, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use podgate_worker::kind::kind;
use podgate_worker::sockets::{Action, Answer, File, MAX_FILE, MAX_REQUEST, Request};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    bind, connect, listen, recv, sendmsg, socket_with,
};

use crate::paths::Paths;
use crate::system::ignore_hangups;

/// Connections that the kernel keeps for a listening socket until they are taken; sshd has the same.
const BACKLOG: i32 = 128;

/// What goes in an answer, and beside it.
#[derive(Default)]
struct Made {
    bytes: Vec<u8>,
    socket: Option<OwnedFd>,
}

impl From<OwnedFd> for Made {
    fn from(socket: OwnedFd) -> Self {
        let (bytes, socket) = (Vec::new(), Some(socket));
        Self { bytes, socket }
    }
}

impl From<Vec<u8>> for Made {
    fn from(bytes: Vec<u8>) -> Self {
        let socket = None;
        Self { bytes, socket }
    }
}

/// Answers requests until the agent closes its end. Then the paths of its sockets go, too.
pub(crate) fn serve(agent: &impl AsFd) -> io::Result<()> {
    ignore_hangups()?;
    let mut paths = Paths::default();
    let served = answer_all(agent, &mut paths);
    paths.remove_all();
    served
}

fn answer_all(agent: &impl AsFd, paths: &mut Paths) -> io::Result<()> {
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
        let (outcome, socket) = match make(&action, paths) {
            Ok(Made { bytes, socket }) => (Ok(bytes), socket),
            Err(errno) => (Err(errno.raw_os_error()), None),
        };
        let answer = Answer { number, outcome };
        match give(agent, &answer.encode(), socket.as_ref()) {
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(()),
            given => given?,
        }
    }
}

fn make(action: &Action, paths: &mut Paths) -> Result<Made, Errno> {
    match action {
        Action::Read(File::Hosts) => read("/etc/hosts").map(Made::from),
        Action::Read(File::Resolver) => read("/etc/resolv.conf").map(Made::from),
        Action::Connect(_, address) => {
            let socket = socket(action)?;
            match connect(&socket, address) {
                Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
                Err(error) => Err(error),
            }
        }
        Action::ConnectUnix(path) => {
            let socket = socket(action)?;
            // Its answer is EAGAIN while the other's queue is full.
            connect(&socket, &SocketAddrUnix::new(path.as_slice())?)?;
            Ok(socket.into())
        }
        Action::Listen(address) => {
            let socket = socket(action)?;
            // As sshd: a port is free again as soon as nobody listens there, and each family is apart.
            set_socket_reuseaddr(&socket, true)?;
            if address.is_ipv6() {
                set_ipv6_v6only(&socket, true)?;
            }
            bind(&socket, address)?;
            listen(&socket, BACKLOG)?;
            Ok(socket.into())
        }
        Action::ListenUnix { path, replace } => {
            let socket = socket(action)?;
            paths.bind(&socket, path, *replace)?;
            listen(&socket, BACKLOG)?;
            Ok(socket.into())
        }
        Action::ListenAgent => {
            let socket = socket(action)?;
            let bytes = paths.bind_private(&socket)?;
            listen(&socket, BACKLOG)?;
            let socket = Some(socket);
            Ok(Made { bytes, socket })
        }
        Action::Remove(path) => paths.remove(path).map(|()| Made::default()),
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
