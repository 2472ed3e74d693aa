//! A channel as the stream that another SSH connection runs on. Bytes are read from the channel only
//! when they are asked for, and written only into the client's window. Once it is cut, both directions
//! end, and nothing waits any more. A client that gives no window for too long makes writing fail, as over TCP.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use russh::{ChannelMsg, ChannelReadHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Reads a channel's data, and writes to `W`.
pub(super) struct Tunnel<W> {
    input: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    /// The rest of the last packet.
    rest: Bytes,
    output: W,
    /// Ends writing; `input` has one of its own.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// How long the client may leave what is to be written without any window.
    silence: Duration,
    /// Set while something waits: over once it has waited for `silence`.
    overdue: Option<Pin<Box<Sleep>>>,
}

impl<W> Tunnel<W> {
    pub(super) fn new(
        read: ChannelReadHalf,
        output: W,
        cut: &CancellationToken,
        silence: Duration,
    ) -> Self {
        let data = stream::unfold(read, |mut read| async {
            loop {
                match read.wait().await? {
                    ChannelMsg::Data { data } => return Some((data, read)),
                    ChannelMsg::Eof | ChannelMsg::Close => return None,
                    _ => {}
                }
            }
        });
        Self::of(data, output, cut, silence)
    }

    fn of(
        data: impl Stream<Item = Bytes> + Send + 'static,
        output: W,
        cut: &CancellationToken,
        silence: Duration,
    ) -> Self {
        let data = data.take_until(cut.clone().cancelled_owned());
        Self {
            // russh reads once more after the end.
            input: Box::pin(data.fuse()),
            rest: Bytes::new(),
            output,
            cut: Box::pin(cut.clone().cancelled_owned()),
            silence,
            overdue: None,
        }
    }

    /// Ends what waits for the client once it was cut or is overdue.
    fn bound<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.overdue = None;
            return done;
        }
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let silence = self.silence;
        let overdue = self.overdue.get_or_insert_with(|| Box::pin(sleep(silence)));
        ready!(overdue.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<W: Unpin> AsyncRead for Tunnel<W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.input.as_mut().poll_next(cx)) {
                Some(data) => self.rest = data,
                None => return Poll::Ready(Ok(())),
            }
        }
        let some = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(some));
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Tunnel<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = Pin::new(&mut this.output).poll_write(cx, bytes);
        this.bound(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.output).poll_flush(cx);
        this.bound(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut_down = Pin::new(&mut this.output).poll_shutdown(cx);
        this.bound(cx, shut_down)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    fn tunnel(silence: Duration) -> (Tunnel<DuplexStream>, DuplexStream) {
        let (output, client) = tokio::io::duplex(4);
        let cut = CancellationToken::new();
        (Tunnel::of(stream::pending(), output, &cut, silence), client)
    }

    #[tokio::test]
    async fn a_write_that_gets_no_window_fails_in_time() {
        let (mut tunnel, _client) = tunnel(Duration::from_millis(20));
        tunnel.write_all(b"four").await.unwrap();
        let failed = tunnel.write_all(b"lost").await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
    }

    /// The session's queue has no room for the end either.
    struct Full;

    impl AsyncWrite for Full {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn nothing_waits_once_it_is_cut() {
        let (cut, never) = (CancellationToken::new(), Duration::from_secs(3600));
        let mut tunnel = Tunnel::of(stream::pending(), Full, &cut, never);
        let cuts = async { cut.cancel() };
        let (shut_down, ()) = tokio::join!(biased; tunnel.shutdown(), cuts);
        assert_eq!(shut_down.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let flushed = tunnel.flush().await.unwrap_err();
        assert_eq!(flushed.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_write_that_gets_through_ends_the_wait() {
        let (mut tunnel, mut client) = tunnel(Duration::from_secs(3600));
        tunnel.write_all(b"four").await.unwrap();
        let mut taken = [0; 4];
        // The write is polled first, and waits.
        let (written, read) =
            tokio::join!(tunnel.write_all(b"more"), client.read_exact(&mut taken));
        written.unwrap();
        read.unwrap();
        assert!(tunnel.overdue.is_none());
    }
}
