//! Options of a client's TCP connection. They decide how soon a keystroke goes out, how soon a client that waits
//! for our acknowledgement goes on, and how soon a dead peer is noticed. A socket without one of them still works,
//! so a failure is no error.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
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
    acknowledge(stream);
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(NOT_SENT);
}

/// Sends an acknowledgement that the kernel holds back, and tells it not to delay the next ones.
pub(super) fn acknowledge(stream: impl AsFd) {
    let _ = sockopt::set_tcp_quickack(stream, true);
}

/// What is read of a packet before its rest: its length, or a cipher's first block.
const FIRST: usize = 16;

/// Calls `acknowledge` for each read that gives bytes, until the login, and after it where the rest of a packet is not
/// there yet: it may wait in the client's Nagle buffer for our acknowledgement, and a delayed one costs 40 ms. OpenSSH's
/// packets of the key exchange do, and each packet of a client that writes it in pieces (node's ssh2). The kernel returns
/// to delaying by itself (tcp(7), TCP_QUICKACK), so this is asked for each time.
pub(super) struct QuickAck<S, F> {
    stream: S,
    logged_in: CancellationToken,
    acknowledge: F,
    /// Whether nothing has come since it was called.
    done: bool,
}

impl<S, F> QuickAck<S, F> {
    pub(super) fn new(stream: S, logged_in: CancellationToken, acknowledge: F) -> Self {
        Self {
            stream,
            logged_in,
            acknowledge,
            done: false,
        }
    }
}

impl<S: AsyncRead + Unpin, F: Fn() + Unpin> AsyncRead for QuickAck<S, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let due = if read.is_pending() {
            !self.done && self.logged_in.is_cancelled() && buffer.remaining() > FIRST
        } else {
            let some = buffer.filled().len() > before;
            self.done &= !some;
            some && (buffer.remaining() > 0 || !self.logged_in.is_cancelled())
        };
        if due {
            self.done = true;
            (self.acknowledge)();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin, F: Unpin> AsyncWrite for QuickAck<S, F> {
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn each_read_is_acknowledged_until_the_login_and_then_short_ones() {
        let (mut client, ours) = duplex(64);
        let (count, logged_in) = (AtomicUsize::new(0), CancellationToken::new());
        let acknowledge = || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let mut stream = QuickAck::new(ours, logged_in.clone(), acknowledge);
        client.write_all(b"four more").await.unwrap();
        for (bytes, expect) in [(4, 1), (4, 2), (1, 3)] {
            stream.read_exact(&mut vec![0; bytes]).await.unwrap();
            assert_eq!(count.load(Ordering::Relaxed), expect);
        }
        logged_in.cancel();
        client.write_all(b"later").await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 3, "it is whole");
        client.write_all(b"lat").await.unwrap();
        assert_eq!(stream.read(&mut [0; 5]).await.unwrap(), 3);
        assert_eq!(count.load(Ordering::Relaxed), 4, "the rest is to come");
        // The length of a packet, and then nothing.
        client.write_all(b"four").await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 4, "it is whole");
        for _ in 0..2 {
            let mut rest = [0; 32];
            assert!(stream.read(&mut rest).now_or_never().is_none());
            assert_eq!(count.load(Ordering::Relaxed), 5, "once");
        }
        client.write_all(&[0; 32]).await.unwrap();
        stream.read_exact(&mut [0; 32]).await.unwrap();
        assert!(stream.read(&mut [0; 4]).now_or_never().is_none());
        assert_eq!(count.load(Ordering::Relaxed), 5, "no packet has begun");
    }

    #[tokio::test]
    async fn an_end_is_not_acknowledged() {
        let (client, ours) = duplex(64);
        let count = AtomicUsize::new(0);
        let acknowledge = || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let mut stream = QuickAck::new(ours, CancellationToken::new(), acknowledge);
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
