//! A worker that makes sockets in one container. What it answers is no more than what a stranger says: a
//! socket is looked at before it is used.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use podgate_node_entry::launch::Folder;
use podgate_worker::kind::kind;
use podgate_worker::sockets::{
    Action, Answer, File, MAX_ANSWER, MAX_PATH, MIN_ANSWER, Request, Transport, is_path,
};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags,
    SocketType, recvmsg, send, socketpair,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::listener::Listener;
use super::socket::{Owned, Socket};
use crate::files::{NoWorker, Workers};
use crate::grant::Granted;
use crate::node_entry;
use crate::watched::watch_unblocked;

/// For an answer. A worker never waits for anything but this agent.
const ANSWER: Duration = Duration::from_secs(3);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// In the container, in the operating system's words.
    #[error("{0}")]
    System(#[from] io::Error),
    /// The worker is of no more use.
    #[error("Podgate's program in the container has ended")]
    Lost,
}

/// The worker.
#[derive(Debug)]
pub(super) struct Maker {
    /// One request at a time.
    channel: Mutex<Channel>,
    program: node_entry::Program,
}

#[derive(Debug)]
struct Channel {
    socket: AsyncFd<OwnedFd>,
    /// The number of the last request.
    last: u32,
    /// Whether a request has had no answer.
    is_lost: bool,
}

impl Maker {
    /// Starts one.
    pub(super) async fn start(
        workers: &Workers,
        granted: &Granted,
        user: &str,
    ) -> Result<Self, NoWorker> {
        let (theirs, ours) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(io::Error::from)?;
        let words = [b"--tell".as_slice(), b"sockets"].map(<[u8]>::to_vec);
        let what = (words.to_vec(), Folder::Stay);
        let launched = workers.launch(granted, user, what, theirs).await?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let channel = Channel {
            socket: watch_unblocked(ours, interest)?,
            last: 0,
            is_lost: false,
        };
        Ok(Self {
            channel: Mutex::new(channel),
            program: launched.program,
        })
    }

    /// Ends the worker. It ends by itself, too, once this is dropped.
    pub(super) async fn end(&self) {
        if let Err(error) = self.program.kill().await {
            tracing::debug!(%error, "a worker was not ended; it ends with its socket");
        }
    }

    /// The bytes of a file that says how names are resolved. One that cannot be read is empty.
    pub(super) async fn read(&self, file: File) -> Result<Vec<u8>, Error> {
        match self.ask(Action::Read(file)).await {
            Ok((bytes, _)) => Ok(bytes),
            Err(Error::System(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// A socket that connects to an address.
    pub(super) async fn connect(
        &self,
        transport: Transport,
        to: SocketAddr,
    ) -> Result<Socket, Error> {
        self.socket(Action::Connect(transport, to)).await
    }

    /// A socket that is connected to a unix socket in the container.
    pub(super) async fn connect_unix(&self, path: &[u8]) -> Result<Socket, Error> {
        self.socket(Action::ConnectUnix(path.to_vec())).await
    }

    /// A socket that listens at an address, and its port.
    pub(super) async fn listen(&self, at: SocketAddr) -> Result<(Listener, u16), Error> {
        let (_, listener) = self.listener(Action::Listen(at)).await?;
        let found = listener.address().map_err(|_| Error::Lost)?;
        let port = at.port();
        if found.ip() != at.ip() || port != 0 && found.port() != port {
            return Err(Error::Lost);
        }
        Ok((listener, found.port()))
    }

    /// A socket that listens at a path in the container.
    pub(super) async fn listen_unix(&self, path: &[u8], replace: bool) -> Result<Listener, Error> {
        let path = path.to_vec();
        let listener = self.listener(Action::ListenUnix { path, replace }).await;
        listener.map(|(_, listener)| listener)
    }

    /// A socket that listens in a folder of its own, and its path.
    pub(super) async fn listen_agent(&self) -> Result<(Vec<u8>, Listener), Error> {
        let (path, listener) = self.listener(Action::ListenAgent).await?;
        match is_path(&path) {
            true => Ok((path, listener)),
            false => Err(Error::Lost),
        }
    }

    /// Removes a path that a worker has made for a socket.
    pub(super) async fn remove(&self, path: &[u8]) -> Result<(), Error> {
        self.ask(Action::Remove(path.to_vec())).await.map(drop)
    }

    async fn socket(&self, action: Action) -> Result<Socket, Error> {
        let kind = kind(&action);
        let (_, socket) = self.ask(action).await?;
        let (socket, (family, kind)) = socket.zip(kind).ok_or(Error::Lost)?;
        Socket::new(socket, family, kind).map_err(|_| Error::Lost)
    }

    async fn listener(&self, action: Action) -> Result<(Vec<u8>, Listener), Error> {
        let kind = kind(&action);
        let (bytes, socket) = self.ask(action).await?;
        let (socket, (family, kind)) = socket.zip(kind).ok_or(Error::Lost)?;
        let listener = Listener::new(socket, family, kind).map_err(|_| Error::Lost)?;
        Ok((bytes, listener))
    }

    async fn ask(&self, action: Action) -> Result<(Vec<u8>, Option<Owned>), Error> {
        let mut channel = self.channel.lock().await;
        if channel.is_lost {
            return Err(Error::Lost);
        }
        let asked = timeout(ANSWER, channel.ask(action)).await;
        let asked = asked.unwrap_or(Err(Error::Lost));
        // Whoever waits behind this need not find out for themselves.
        channel.is_lost = asked.is_err();
        let (answer, socket) = asked?;
        let outcome = answer.outcome;
        let bytes = outcome.map_err(|errno| Error::System(io::Error::from_raw_os_error(errno)))?;
        Ok((bytes, socket))
    }
}

impl Channel {
    async fn ask(&mut self, action: Action) -> Result<(Answer, Option<Owned>), Error> {
        self.last = self.last.wrapping_add(1);
        let number = self.last;
        let most = match action {
            Action::Read(_) => MAX_ANSWER,
            Action::ListenAgent => MIN_ANSWER + MAX_PATH,
            _ => MIN_ANSWER,
        };
        let request = Request { number, action }.encode();
        let send = |socket: &_| {
            Ok(retry_on_intr(|| {
                send(socket, &request, SendFlags::NOSIGNAL)
            })?)
        };
        let sent = self.socket.async_io(Interest::WRITABLE, send).await;
        sent.map_err(|_| Error::Lost)?;
        let receive = |socket: &_| Ok(retry_on_intr(|| receive(socket, most))?);
        loop {
            match self.socket.async_io(Interest::READABLE, receive).await {
                // What was asked by one who has gone meanwhile.
                Ok(Some((answer, _))) if answer.number != number => {}
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) | Err(_) => return Err(Error::Lost),
            }
        }
    }
}

/// The next answer, of which this many bytes are kept; `None` at the end, and for what is no answer.
fn receive(socket: &OwnedFd, most: usize) -> Result<Option<(Answer, Option<Owned>)>, Errno> {
    let mut bytes = vec![0; most];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
    )?;
    let sockets = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
        _ => None,
    });
    // Room for one may hold two (cmsg(3)).
    let sockets: Vec<Owned> = sockets.flatten().map(Owned::from).collect();
    let socket = sockets.into_iter().next();
    let answer = bytes.get(..received.bytes).and_then(Answer::parse);
    Ok(answer.map(|answer| (answer, socket)))
}
