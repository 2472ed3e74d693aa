//! A listening socket that a worker has made in a container. Whoever else holds it there can make accept(2)
//! wait, which has no flag against that. So it is called on a thread of its own, and a socket on which it
//! waits is closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{
    AddressFamily, Shutdown, SocketFlags, SocketType, acceptfrom_with, getsockname, shutdown,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::socket::Owned;
use crate::watched::watch;

/// accept(2) answers at once, unless somebody makes it wait.
const ANSWER: Duration = Duration::from_secs(2);
/// Before another attempt, while this process has no descriptor to spare.
const PAUSE: Duration = Duration::from_millis(200);

/// A listening socket. At its end nobody can connect to it any more, whoever else holds it.
#[derive(Debug)]
pub(super) struct Listener(AsyncFd<Arc<Owned>>);

impl Listener {
    /// A listener of this kind; the worker may have given another socket.
    pub(super) fn new(fd: Owned, family: AddressFamily, kind: SocketType) -> io::Result<Self> {
        let fits = socket_domain(&fd)? == family && socket_type(&fd)? == kind;
        if !fits || !socket_acceptconn(&fd)? {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self(watch(Arc::new(fd), Interest::READABLE)?))
    }

    /// Where it listens.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        let address = getsockname(self.0.get_ref())?;
        Ok(SocketAddr::try_from(address)?)
    }

    /// The next connection, with its peer's address if it has one. It must not be dropped half way: a
    /// connection could be lost.
    pub(super) async fn accept(&self) -> io::Result<(Owned, Option<SocketAddr>)> {
        loop {
            let mut ready = self.0.readable().await?;
            let socket = Arc::clone(self.0.get_ref());
            let (begins, begun) = oneshot::channel();
            let accepting = spawn_blocking(move || {
                // Nobody listens any more at the agent's end.
                let _ = begins.send(());
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let accepted = retry_on_intr(|| acceptfrom_with(&*socket, flags));
                accepted.map(|(socket, peer)| (Owned::from(socket), peer))
            });
            // A thread may be long in coming on a node that is short of time.
            let _ = begun.await;
            let Ok(accepted) = timeout(ANSWER, accepting).await else {
                // The thread's call ends with this.
                let _ = shutdown(self.0.get_ref(), Shutdown::Both);
                return Err(io::ErrorKind::TimedOut.into());
            };
            match accepted? {
                Ok((socket, peer)) => {
                    return Ok((
                        socket,
                        peer.and_then(|peer| SocketAddr::try_from(peer).ok()),
                    ));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    sleep(PAUSE).await;
                }
                // Errors of a connection that is gone already (accept(2)).
                Err(
                    Errno::CONNABORTED
                    | Errno::NETDOWN
                    | Errno::PROTO
                    | Errno::NOPROTOOPT
                    | Errno::HOSTDOWN
                    | Errno::NONET
                    | Errno::HOSTUNREACH
                    | Errno::NETUNREACH
                    | Errno::PERM,
                ) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = shutdown(self.0.get_ref(), Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;

    use super::*;

    fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn of(listener: &TcpListener) -> Listener {
        let fd = OwnedFd::from(listener.try_clone().unwrap());
        Listener::new(fd.into(), AddressFamily::INET, SocketType::STREAM).unwrap()
    }

    #[tokio::test]
    async fn connections_come_with_their_peers() {
        let (socket, address) = listening();
        socket.set_nonblocking(true).unwrap();
        let listener = of(&socket);
        assert_eq!(listener.address().unwrap(), address);
        let client = TcpStream::connect(address).unwrap();
        let (_connection, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, Some(client.local_addr().unwrap()));
    }

    #[tokio::test]
    async fn whoever_makes_it_wait_ends_it_and_nothing_else() {
        let (socket, address) = listening();
        let listener = of(&socket);
        let _client = TcpStream::connect(address).unwrap();
        // Ready, and then another takes what it is ready for.
        listener.0.readable().await.unwrap().retain_ready();
        let _taken = socket.accept().unwrap();
        let failed = listener.accept().await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        assert!(TcpStream::connect(address).is_err());
    }

    #[tokio::test]
    async fn nobody_can_connect_after_its_end() {
        let (socket, address) = listening();
        drop(of(&socket));
        assert!(TcpStream::connect(address).is_err());
    }

    #[tokio::test]
    async fn what_does_not_listen_is_no_listener() {
        let (_socket, address) = listening();
        let fd = OwnedFd::from(TcpStream::connect(address).unwrap());
        let failed = Listener::new(fd.into(), AddressFamily::INET, SocketType::STREAM).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::InvalidData);
        let (socket, _) = listening();
        let socket = OwnedFd::from(socket);
        let failed = Listener::new(socket.into(), AddressFamily::UNIX, SocketType::STREAM);
        assert!(failed.is_err());
    }
}
