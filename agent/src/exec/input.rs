//! The side of an exec that takes bytes.

use std::io;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use podgate_proto::limits::MAX_CHUNK;
use podgate_proto::v1::{Terminal, TerminalSize};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::spdy::{frame, headers};
use crate::streams;

pub(super) const STDIN: u32 = 3;
/// Only with a terminal.
pub(super) const RESIZE: u32 = 7;

/// End of file as a terminal's line discipline reads it, unless the client's modes say otherwise.
const EOF: u8 = 4;
/// VEOF of RFC 4254 §8.
const VEOF: u32 = 5;
/// A terminal mode of this value means that there is no such character (RFC 4254 §8).
const NO_CHARACTER: u8 = 255;

/// Takes the input of an exec.
pub(crate) struct Input {
    io: Box<dyn AsyncWrite + Send + Unpin>,
    /// With a terminal: the character that stands for end of file.
    eof: Option<u8>,
    buffer: BytesMut,
    pings: u32,
}

impl Input {
    pub(super) fn new(io: Box<dyn AsyncWrite + Send + Unpin>, terminal: Option<&Terminal>) -> Self {
        Self {
            io,
            eof: terminal.map(eof_character),
            buffer: BytesMut::new(),
            pings: 0,
        }
    }

    /// Asks for these streams, by id and kind.
    pub(super) async fn open(&mut self, streams: &[(u32, &str)]) -> io::Result<()> {
        let mut encoder = headers::Encoder::default();
        for (id, kind) in streams {
            let block = encoder.block("streamtype", kind);
            frame::put_syn_stream(&mut self.buffer, *id, &block);
        }
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        let frames = self.buffer.split();
        self.io.write_all(&frames).await?;
        self.io.flush().await
    }
}

#[async_trait]
impl streams::Input for Input {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.chunks(MAX_CHUNK) {
            frame::put_data_header(&mut self.buffer, STDIN, false, chunk.len());
            // The bytes are not copied behind their header: a copy of each shows in bulk transfers.
            let mut frame = self.buffer.split().chain(chunk);
            self.io.write_all_buf(&mut frame).await?;
        }
        self.io.flush().await
    }

    /// A terminal's input has no end, and containerd takes an end of stdin for the end of the whole
    /// exec. So a terminal gets the character that stands for end of file.
    async fn end(&mut self) -> io::Result<()> {
        match self.eof {
            Some(eof) => frame::put_data(&mut self.buffer, STDIN, false, &[eof]),
            None => frame::put_data(&mut self.buffer, STDIN, true, &[]),
        }
        self.flush().await
    }

    async fn resize(&mut self, size: &TerminalSize) -> io::Result<()> {
        if self.eof.is_none() {
            return Ok(());
        }
        let json = format!("{{\"Width\":{},\"Height\":{}}}", size.columns, size.rows);
        frame::put_data(&mut self.buffer, RESIZE, false, json.as_bytes());
        self.flush().await
    }

    /// A runtime cuts an exec that was idle for 4 h. A ping counts as activity.
    async fn keep_alive(&mut self) -> io::Result<()> {
        frame::put_ping(&mut self.buffer, 2 * self.pings + 1);
        self.pings = (self.pings + 1) % (1 << 30);
        self.flush().await
    }
}

/// The character for end of file in the client's terminal modes.
fn eof_character(terminal: &Terminal) -> u8 {
    let mode = terminal.modes.iter().find(|mode| mode.opcode == VEOF);
    match mode.map(|mode| u8::try_from(mode.argument)) {
        Some(Ok(eof)) if eof != NO_CHARACTER => eof,
        _ => EOF,
    }
}
