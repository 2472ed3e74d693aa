//! A socket that a worker has made in a container. What else holds it there can make calls on it wait, so
//! each call here says that it does not.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use podgate_proto::limits::MAX_CHUNK;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{
    set_socket_linger, set_tcp_nodelay, socket_domain, socket_error, socket_type,
};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketType, getpeername, recv, send, shutdown,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::connection::{Connection, Read, Write};
use crate::room::Room;
use crate::streams::Lost;
use crate::watched::watch;

/// Bytes that are copied, so that no buffer of a whole chunk is kept for them.
const SHORT: usize = 4 * 1024;

/// A socket on this core.
#[derive(Debug)]
pub(super) struct Socket(AsyncFd<Owned>);

/// A socket that comes from a container, or was accepted of one that does. It is closed without waiting,
/// whatever was set on it there (SO_LINGER, socket(7)).
#[derive(Debug)]
pub(super) struct Owned(OwnedFd);

impl From<OwnedFd> for Owned {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = set_socket_linger(&self.0, None);
    }
}

impl AsFd for Owned {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::os::fd::AsRawFd for Owned {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

impl Socket {
    /// A socket of this kind; the worker may have given another.
    pub(super) fn new(fd: Owned, family: AddressFamily, kind: SocketType) -> io::Result<Self> {
        if socket_domain(&fd)? != family || socket_type(&fd)? != kind {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        Ok(Self(watch(fd, interest)?))
    }

    /// A connection of a listener. Nobody else holds it.
    pub(super) fn accepted(fd: Owned) -> io::Result<Self> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let tcp = socket_domain(&fd)? != AddressFamily::UNIX;
        let this = Self(watch(fd, interest)?);
        if tcp {
            this.no_delay()?;
        }
        Ok(this)
    }

    /// Waits until it is connected, and says to what. That may be another address than was asked for: a
    /// network may put a service's endpoint in the service's place, and 0.0.0.0 is the machine itself.
    pub(super) async fn connected(&self) -> io::Result<SocketAddr> {
        loop {
            let mut ready = self.0.writable().await?;
            socket_error(self.0.get_ref())??;
            match getpeername(self.0.get_ref()) {
                Ok(Some(peer)) => return Ok(SocketAddr::try_from(peer)?),
                Err(Errno::NOTCONN) => ready.clear_ready(),
                Ok(None) => return Err(io::ErrorKind::InvalidData.into()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends each byte at once (TCP_NODELAY), as sshd does.
    pub(super) fn no_delay(&self) -> io::Result<()> {
        Ok(set_tcp_nodelay(self.0.get_ref(), true)?)
    }

    /// Sends some of these bytes, as soon as it takes any.
    pub(super) async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let send = |socket: &Owned| Ok(retry_on_intr(|| send(socket, bytes, flags))?);
        self.0.async_io(Interest::WRITABLE, send).await
    }

    /// Sends all of these bytes.
    pub(super) async fn send_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = self.send(bytes).await?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// The next bytes, at most so many; none at the end. Nothing is lost if it is dropped half way.
    pub(super) async fn receive(&self, most: usize) -> io::Result<Vec<u8>> {
        let receive = |socket: &Owned| {
            let mut bytes = Vec::with_capacity(most);
            let mut take = || recv(socket, spare_capacity(&mut bytes), RecvFlags::DONTWAIT);
            retry_on_intr(&mut take)?;
            Ok(bytes)
        };
        self.0.async_io(Interest::READABLE, receive).await
    }

    /// Its two ends.
    pub(super) fn into_connection(self) -> Connection {
        let this = Arc::new(self);
        Connection {
            write: Box::new(Writer(Arc::clone(&this))),
            read: Box::new(Reader {
                socket: this,
                room: Room::at_least(MAX_CHUNK),
            }),
        }
    }
}

/// What goes to a connection.
struct Writer(Arc<Socket>);

#[async_trait]
impl Write for Writer {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.send_all(bytes).await
    }

    async fn end(&mut self) -> io::Result<()> {
        Ok(shutdown(self.0.0.get_ref(), Shutdown::Write)?)
    }

    /// Nothing here cuts an idle connection off.
    async fn keep_alive(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What comes from a connection.
struct Reader {
    socket: Arc<Socket>,
    room: Room,
}

#[async_trait]
impl Read for Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, Lost> {
        let bytes = self.socket.receive(self.room.now()).await;
        let bytes = bytes.map_err(Lost::new)?;
        self.room.found(bytes.len());
        Ok(match bytes.len() {
            0 => None,
            short if short <= SHORT => Some(Bytes::copy_from_slice(&bytes)),
            _ => Some(bytes.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use rustix::net::{SocketFlags, connect, socket_with};

    use super::*;

    #[test]
    fn closing_never_waits() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _unread = listener.accept().unwrap();
        client.set_nonblocking(true).unwrap();
        while io::Write::write(&mut client, &[0; 65536]).is_ok() {}
        set_socket_linger(&client, Some(Duration::from_secs(1000))).unwrap();
        let (closed, told) = channel();
        std::thread::spawn(move || {
            drop(Owned::from(OwnedFd::from(client)));
            closed.send(()).unwrap();
        });
        told.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    #[tokio::test]
    async fn what_it_is_connected_to_may_be_another_address() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        let socket = socket_with(family, kind, SocketFlags::NONBLOCK, None).unwrap();
        // The machine itself.
        let to = SocketAddr::from(([0, 0, 0, 0], address.port()));
        assert!(matches!(
            connect(&socket, &to),
            Ok(()) | Err(Errno::INPROGRESS)
        ));
        let socket = Socket::new(socket.into(), family, kind).unwrap();
        assert_eq!(socket.connected().await.unwrap(), address);
    }
}
