//! A channel as the stream that another SSH connection runs on. Bytes are read from the channel only
//! when they are asked for, and written only into the client's window. Once it is cut, both directions
//! end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use russh::{ChannelMsg, ChannelReadHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Reads a channel's data, and writes to `W`.
pub(super) struct Tunnel<W> {
    input: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    /// The rest of the last packet.
    rest: Bytes,
    output: W,
    /// Ends writing; `input` has one of its own.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<W> Tunnel<W> {
    pub(super) fn new(read: ChannelReadHalf, output: W, cut: &CancellationToken) -> Self {
        let data = stream::unfold(read, |mut read| async {
            loop {
                match read.wait().await? {
                    ChannelMsg::Data { data } => return Some((data, read)),
                    ChannelMsg::Eof | ChannelMsg::Close => return None,
                    _ => {}
                }
            }
        });
        let data = data.take_until(cut.clone().cancelled_owned());
        Self {
            // russh reads once more after the end.
            input: Box::pin(data.fuse()),
            rest: Bytes::new(),
            output,
            cut: Box::pin(cut.clone().cancelled_owned()),
        }
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
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.output).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_shutdown(cx)
    }
}
