//! An exec client's byte stream with the kubelet's faults applied: read slowly, or cut after a number
//! of bytes. Without faults it only passes calls on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::faults::Faults;

/// A slow reader gets its bytes in slices of a second, this many.
const SLICES: u64 = 20;

/// An exec client's bytes, as the runtime sees them.
pub(super) type Client = Damaged<TokioIo<Upgraded>>;

pub(super) struct Damaged<S> {
    inner: S,
    faults: Arc<Faults>,
    /// Bytes that may still be read in this slice.
    allowance: u64,
    next_slice: Pin<Box<Sleep>>,
    written: u64,
}

impl<S> Damaged<S> {
    pub(super) fn new(inner: S, faults: Arc<Faults>) -> Self {
        let next_slice = Box::pin(sleep_until(Instant::now()));
        Self {
            inner,
            faults,
            allowance: 0,
            next_slice,
            written: 0,
        }
    }

    /// Bytes that may still be written, if there is a limit.
    fn left(&self) -> Option<u64> {
        self.faults
            .cut_after()
            .map(|limit| limit.saturating_sub(self.written))
    }
}

impl<S: AsyncRead + Unpin> Damaged<S> {
    fn poll_read_slowly(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        rate: u64,
    ) -> Poll<io::Result<()>> {
        if self.allowance == 0 {
            ready!(self.next_slice.as_mut().poll(cx));
            self.allowance = (rate / SLICES).max(1);
            let next = Instant::now() + Duration::from_millis(1000 / SLICES);
            self.next_slice.as_mut().reset(next);
        }
        let mut small = [0; 4096];
        let most = buf.remaining().min(small.len());
        let most = most.min(usize::try_from(self.allowance).unwrap_or(most));
        let mut part = ReadBuf::new(small.get_mut(..most).unwrap_or_default());
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
        buf.put_slice(part.filled());
        self.allowance = self.allowance.saturating_sub(part.filled().len() as u64);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Damaged<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.faults.read_rate() {
            0 => Pin::new(&mut this.inner).poll_read(cx, buf),
            rate => this.poll_read_slowly(cx, buf, rate),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Damaged<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let buf = match this.left() {
            Some(0) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(left) => usize::try_from(left)
                .ok()
                .and_then(|left| buf.get(..left))
                .unwrap_or(buf),
            None => buf,
        };
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, buf))?;
        this.written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        // The writers of this crate flush after each write and give up at an error. So the cut comes at
        // this byte and not at the next write.
        match this.left() {
            Some(0) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
