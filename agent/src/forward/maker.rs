//! A worker that makes sockets in one container. What it answers is no more than what a stranger says: a
//! socket is looked at before it is used.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use podgate_node_entry::launch::Folder;
use podgate_worker::sockets::{Action, Answer, File, MAX_ANSWER, Request, Transport};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags,
    SocketType, recvmsg, send, socketpair,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::socket::Socket;
use crate::files::{NoWorker, Workers};
use crate::grant::Granted;
use crate::node_entry;
use crate::watched::watch;

/// For an answer. A worker never waits for anything but this agent.
const ANSWER: Duration = Duration::from_secs(3);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// In the container, in the operating system's words.
    #[error("{0}")]
    System(io::Error),
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
        ioctl_fionbio(&ours, true).map_err(io::Error::from)?;
        let words = [b"--tell".as_slice(), b"sockets"].map(<[u8]>::to_vec);
        let what = (words.to_vec(), Folder::Stay);
        let launched = workers.launch(granted, user, what, theirs).await?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let channel = Channel {
            socket: watch(ours, interest)?,
            last: 0,
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
        let family = match to {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let kind = match transport {
            Transport::Tcp => SocketType::STREAM,
            Transport::Udp => SocketType::DGRAM,
        };
        self.socket(Action::Connect(transport, to), family, kind)
            .await
    }

    /// A socket that is connected to a unix socket in the container.
    pub(super) async fn connect_unix(&self, path: &[u8]) -> Result<Socket, Error> {
        let action = Action::ConnectUnix(path.to_vec());
        self.socket(action, AddressFamily::UNIX, SocketType::STREAM)
            .await
    }

    async fn socket(
        &self,
        action: Action,
        family: AddressFamily,
        kind: SocketType,
    ) -> Result<Socket, Error> {
        let (_, socket) = self.ask(action).await?;
        let socket = socket.ok_or(Error::Lost)?;
        Socket::new(socket, family, kind).map_err(|_| Error::Lost)
    }

    async fn ask(&self, action: Action) -> Result<(Vec<u8>, Option<OwnedFd>), Error> {
        let mut channel = self.channel.lock().await;
        let asked = timeout(ANSWER, channel.ask(action)).await;
        let (answer, socket) = asked.unwrap_or(Err(Error::Lost))?;
        let outcome = answer.outcome;
        let bytes = outcome.map_err(|errno| Error::System(io::Error::from_raw_os_error(errno)))?;
        Ok((bytes, socket))
    }
}

impl Channel {
    async fn ask(&mut self, action: Action) -> Result<(Answer, Option<OwnedFd>), Error> {
        self.last = self.last.wrapping_add(1);
        let number = self.last;
        let request = Request { number, action }.encode();
        loop {
            let mut ready = self.socket.writable().await.map_err(|_| Error::Lost)?;
            match send(self.socket.get_ref(), &request, SendFlags::NOSIGNAL) {
                Ok(_) => break,
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(_) => return Err(Error::Lost),
            }
        }
        loop {
            let mut ready = self.socket.readable().await.map_err(|_| Error::Lost)?;
            match receive(self.socket.get_ref()) {
                // What was asked by one who has gone meanwhile.
                Ok(Some((answer, _))) if answer.number != number => {}
                Ok(Some(answer)) => return Ok(answer),
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return Err(Error::Lost),
            }
        }
    }
}

/// The next answer; `None` at the end, and for what is no answer.
fn receive(socket: &OwnedFd) -> Result<Option<(Answer, Option<OwnedFd>)>, Errno> {
    let mut bytes = vec![0; MAX_ANSWER];
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
    let socket = sockets.flatten().next();
    let answer = bytes.get(..received.bytes).and_then(Answer::parse);
    Ok(answer.map(|answer| (answer, socket)))
}
