//! Reads frames from a connection, with as much memory as its traffic is worth.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::spdy::frame::{self, Decoder, Frame};

/// Bytes that are read at once: from a peer that says little, and from one that says much.
const MIN_ROOM: usize = 1024;
const MAX_ROOM: usize = 64 * 1024;

/// The frames of one connection.
pub(super) struct FrameReader {
    io: Box<dyn AsyncRead + Send + Sync + Unpin>,
    decoder: Decoder,
    bytes: BytesMut,
    /// Bytes to make room for before a read.
    room: usize,
}

impl FrameReader {
    /// `bytes` was read already.
    pub(super) fn new(io: Box<dyn AsyncRead + Send + Sync + Unpin>, bytes: BytesMut) -> Self {
        Self {
            io,
            decoder: Decoder::default(),
            bytes,
            room: MIN_ROOM,
        }
    }

    /// The next frame, or `None` once the connection is closed. Nothing is lost if it is dropped half way.
    pub(super) async fn next<E>(&mut self) -> Result<Option<Frame>, E>
    where
        E: From<io::Error> + From<frame::Error>,
    {
        loop {
            if let Some(frame) = self.decoder.next(&mut self.bytes)? {
                return Ok(Some(frame));
            }
            if self.bytes.is_empty() && self.bytes.capacity() > self.room {
                self.bytes = BytesMut::new();
            }
            self.bytes.reserve(self.room);
            let room = self.bytes.capacity() - self.bytes.len();
            match self.io.read_buf(&mut self.bytes).await {
                Ok(0) => return Ok(None),
                // A busy stream reads much at once, and an idle one holds little memory.
                Ok(read) if read == room => self.room = MAX_ROOM.min(self.room * 2),
                Ok(read) if read < self.room / 4 => self.room = MIN_ROOM.max(self.room / 2),
                Ok(_) => {}
                // A peer that was killed does not close TLS properly.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
