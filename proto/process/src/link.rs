//! The TCP connection of a link, at both of its ends. It tells a network that is gone, which the kernel
//! notices, from a program that gets no processor: that one is waited for.

mod client;
mod network;
mod read_ahead;

use std::any::Any;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use podgate_proto::limits;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tonic::transport::server::Connected;

pub use client::endpoint;
use read_ahead::ReadAhead;

/// Between two of the kernel's questions to a peer whose system answers none.
const PROBE: Duration = Duration::from_secs(1);

/// A connection that fails once its network is gone, or its peer has been silent for [`limits::SILENT`]
/// times [`limits::LISTEN`]. Any byte is a sign of life. Bytes are looked for before the time is judged, and
/// time in which this program did not run counts once: after a long wait for a processor the peer's answer
/// may be there, unread.
#[derive(Debug)]
pub struct LinkStream<S> {
    stream: S,
    is_gone: fn(&S) -> bool,
    listen: Pin<Box<Sleep>>,
    /// Whether bytes went through since the last look.
    heard: bool,
    /// How many looks in a row found none.
    silent: u32,
    /// Kept until the connection is gone.
    kept: Option<Box<dyn Any + Send + Sync>>,
    ahead: ReadAhead,
}

impl LinkStream<TcpStream> {
    /// Sets the options of a link's socket.
    ///
    /// # Errors
    /// When it is no TCP connection any more.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        let probes = TcpKeepalive::new()
            .with_time(limits::KEEPALIVE_INTERVAL)
            .with_interval(PROBE);
        // A socket that cannot have these still works.
        let _ = socket.set_tcp_notsent_lowat(limits::NOT_SENT);
        let _ = socket.set_tcp_keepalive(&probes);
        Ok(Self::over(stream, network::is_gone))
    }
}

impl<S> LinkStream<S> {
    fn over(stream: S, is_gone: fn(&S) -> bool) -> Self {
        Self {
            stream,
            is_gone,
            listen: Box::pin(sleep(limits::LISTEN)),
            heard: false,
            silent: 0,
            kept: None,
            ahead: ReadAhead::default(),
        }
    }

    /// Keeps something, such as a slot, until the connection is gone.
    pub fn keep(&mut self, something: impl Any + Send + Sync) {
        self.kept = Some(Box::new(something));
    }

    /// Notes whether bytes went through. If there is nothing to read or to write, it judges the silence.
    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        moved: bool,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.heard |= moved;
        if done.is_ready() {
            return done;
        }
        while self.listen.as_mut().poll(cx).is_ready() {
            let heard = std::mem::take(&mut self.heard);
            self.silent = if heard { 0 } else { self.silent + 1 };
            if !heard {
                self.ahead.release();
            }
            if self.silent >= limits::SILENT || (!heard && (self.is_gone)(&self.stream)) {
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            self.listen.as_mut().reset(Instant::now() + limits::LISTEN);
        }
        Poll::Pending
    }

    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let moved = matches!(written, Poll::Ready(Ok(1..)));
        self.judge(cx, moved, written)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LinkStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = this.ahead.poll_read(Pin::new(&mut this.stream), cx, buffer);
        this.judge(cx, buffer.filled().len() > before, read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LinkStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bytes);
        this.wrote(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: Connected> Connected for LinkStream<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::advance;

    use super::*;

    fn link() -> (LinkStream<DuplexStream>, DuplexStream) {
        let (ours, peer) = duplex(4);
        (LinkStream::over(ours, |_| false), peer)
    }

    fn all() -> Duration {
        limits::LISTEN * limits::SILENT
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_nothing_and_takes_nothing_is_lost() {
        let (mut link, _peer) = link();
        let begun = Instant::now();
        let lost = link.read_u8().await.unwrap_err();
        assert_eq!((lost.kind(), begun.elapsed()), (ErrorKind::TimedOut, all()));

        let (mut link, _peer) = self::link();
        let begun = Instant::now();
        let lost = link.write_all(b"untaken").await.unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), all() + limits::LISTEN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_that_is_gone_is_noticed_at_the_next_look() {
        let (ours, _peer) = duplex(4);
        let mut link = LinkStream::over(ours, |_| true);
        let begun = Instant::now();
        let lost = link.read_u8().await.unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), limits::LISTEN);
    }

    #[tokio::test(start_paused = true)]
    async fn any_byte_is_a_sign_of_life() {
        let (mut link, mut peer) = link();
        for _ in 0..3 {
            let late = async {
                sleep(all() - limits::LISTEN).await;
                peer.write_u8(1).await.unwrap();
            };
            let (read, ()) = tokio::join!(link.read_u8(), late);
            assert_eq!(read.unwrap(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_come_is_read_before_the_silence_is_judged() {
        let (mut link, mut peer) = link();
        let look = async |link: &mut LinkStream<_>| {
            poll_fn(|cx| {
                let mut byte = [0];
                let mut buffer = ReadBuf::new(&mut byte);
                let read = Pin::new(&mut *link).poll_read(cx, &mut buffer);
                Poll::Ready(read.map_ok(|()| buffer.filled().len()))
            })
            .await
        };
        assert!(look(&mut link).await.is_pending());
        // This program does not run for longer than a peer may be silent.
        for _ in 1..limits::SILENT {
            advance(2 * all()).await;
            assert!(look(&mut link).await.is_pending(), "it counts once");
        }
        peer.write_u8(1).await.unwrap();
        advance(2 * all()).await;
        assert!(matches!(look(&mut link).await, Poll::Ready(Ok(1))));
        assert!(look(&mut link).await.is_pending());
    }
}
