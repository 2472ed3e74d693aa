//! Reads more from a socket than TLS asks for. rustls reads 4 KiB at a time, which is four system calls for each of
//! its records. No memory is held until reads come back full.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that are read at once while much comes.
const AHEAD: usize = 64 * 1024;

/// What was read and not asked for yet.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    /// Empty unless much comes.
    buffer: Vec<u8>,
    taken: usize,
    filled: usize,
}

impl ReadAhead {
    /// Reads from the stream, or gives what was read from it before.
    pub(super) fn poll_read(
        &mut self,
        stream: Pin<&mut impl AsyncRead>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.taken == self.filled {
            if self.buffer.is_empty() {
                let before = into.filled().len();
                ready!(stream.poll_read(cx, into))?;
                if into.remaining() == 0 && into.filled().len() > before {
                    self.buffer.resize(AHEAD, 0);
                }
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut self.buffer);
            ready!(stream.poll_read(cx, &mut buffer))?;
            (self.taken, self.filled) = (0, buffer.filled().len());
        }
        let there = self.buffer.get(self.taken..self.filled).unwrap_or_default();
        let length = there.len().min(into.remaining());
        into.put_slice(there.get(..length).unwrap_or_default());
        self.taken += length;
        Poll::Ready(Ok(()))
    }

    /// Gives the memory back, unless bytes wait in it.
    pub(super) fn release(&mut self) {
        if self.taken == self.filled {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    async fn read(ahead: &mut ReadAhead, stream: &mut DuplexStream, bytes: usize) -> Vec<u8> {
        let mut into = vec![0; bytes];
        let read = poll_fn(|cx| {
            let mut into = ReadBuf::new(&mut into);
            let read = ahead.poll_read(Pin::new(&mut *stream), cx, &mut into);
            read.map_ok(|()| into.filled().len())
        });
        let length = read.await.unwrap();
        into.truncate(length);
        into
    }

    #[tokio::test]
    async fn bytes_come_in_order_and_memory_is_held_only_while_many_come() {
        let (mut ours, mut theirs) = duplex(2 * AHEAD);
        let mut ahead = ReadAhead::default();
        theirs.write_all(b"few").await.unwrap();
        assert_eq!(read(&mut ahead, &mut ours, 8).await, b"few");
        assert!(ahead.buffer.is_empty());

        let sent: Vec<u8> = (0..AHEAD + 5000).map(|at| at as u8).collect();
        theirs.write_all(&sent).await.unwrap();
        let mut seen = read(&mut ahead, &mut ours, 4096).await;
        seen.extend(read(&mut ahead, &mut ours, 4096).await);
        assert_eq!((ahead.taken, ahead.filled), (4096, AHEAD));
        ahead.release();
        while seen.len() < sent.len() {
            seen.extend(read(&mut ahead, &mut ours, 4096).await);
        }
        assert!(seen == sent);
        ahead.release();
        assert_eq!(ahead.buffer.capacity(), 0);
        drop(theirs);
        assert_eq!(read(&mut ahead, &mut ours, 4096).await, b"");
    }
}
