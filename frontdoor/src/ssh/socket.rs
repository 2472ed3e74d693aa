//! Options of a client's TCP connection: they decide how soon a keystroke goes out, how soon a client that waits
//! for our acknowledgement goes on, and how soon a dead peer is noticed. A socket without one of them still works,
//! so a failure is no error.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::sockopt;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Bytes that may wait in the socket. A shell's echo waits behind those of bulk channels on the same
/// connection.
const NOT_SENT: u32 = 128 * 1024;

/// A peer that has not acknowledged bytes for `silence` is gone.
pub(super) fn tune(stream: &TcpStream, silence: Duration) {
    let _ = stream.set_nodelay(true);
    // The kernel takes an int, and 0 would leave it to the kernel.
    let silence = silence.as_millis().clamp(1, i32::MAX as u128);
    let _ = sockopt::set_tcp_user_timeout(stream, silence as u32);
    stream.acknowledge();
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(NOT_SENT);
}

/// A connection whose peer can be told at once what has come.
pub(super) trait Acknowledge {
    /// Sends an acknowledgement that the kernel holds back, and has it hold back none for the moment.
    fn acknowledge(&self);
}

impl Acknowledge for TcpStream {
    fn acknowledge(&self) {
        let _ = sockopt::set_tcp_quickack(self, true);
    }
}

/// A client's connection that acknowledges what it reads at once, until the login. OpenSSH's packets of the key
/// exchange wait in its Nagle buffer for our acknowledgement: a delayed one costs a login 40 ms. The kernel goes
/// back to delaying them whenever it likes (tcp(7), TCP_QUICKACK), so it is asked after each read.
pub(super) struct Prompt<S> {
    stream: S,
    logged_in: CancellationToken,
}

impl<S> Prompt<S> {
    pub(super) fn new(stream: S, logged_in: CancellationToken) -> Self {
        Self { stream, logged_in }
    }
}

impl<S: AsyncRead + Acknowledge + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before && !self.logged_in.is_cancelled() {
            self.stream.acknowledge();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// Counts how often it was asked to acknowledge.
    struct Counted(DuplexStream, Arc<AtomicUsize>);

    impl Acknowledge for Counted {
        fn acknowledge(&self) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buffer)
        }
    }

    #[tokio::test]
    async fn each_read_is_acknowledged_until_the_login() {
        let (mut client, ours) = duplex(64);
        let (count, logged_in) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let mut stream = Prompt::new(Counted(ours, Arc::clone(&count)), logged_in.clone());
        client.write_all(b"four more").await.unwrap();
        for (bytes, expect) in [(4, 1), (4, 2), (1, 3)] {
            stream.read_exact(&mut vec![0; bytes]).await.unwrap();
            assert_eq!(count.load(Ordering::Relaxed), expect);
        }
        logged_in.cancel();
        client.write_all(b"later").await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 3, "after the login");
    }

    #[tokio::test]
    async fn an_end_is_not_acknowledged() {
        let (client, ours) = duplex(64);
        let count = Arc::new(AtomicUsize::new(0));
        let mut stream = Prompt::new(Counted(ours, Arc::clone(&count)), CancellationToken::new());
        drop(client);
        assert_eq!(stream.read(&mut [0; 4]).await.unwrap(), 0);
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_peer_is_lost_as_soon_as_by_keepalives() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let check = |seconds, expect: u32| {
            tune(&stream, Duration::from_secs(seconds));
            let set = sockopt::tcp_user_timeout(&stream).unwrap();
            assert_eq!(set, expect, "{seconds}");
        };
        check(90, 90_000);
        check(10, 10_000);
        check(u64::MAX, i32::MAX as u32);
    }
}
