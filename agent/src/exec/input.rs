//! The side of an exec that takes bytes.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use podgate_proto::limits::MAX_CHUNK;
use podgate_proto::v1::{Terminal, TerminalSize};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::output::ERROR;
use super::spdy::{frame, headers};
use super::window::{WORKERS, Window};
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
    /// With a terminal: what ends the input of whoever reads on when the program has ended.
    pub(super) answer: Vec<u8>,
    /// Whether no more is sent.
    ended: bool,
    buffer: BytesMut,
    window: Arc<Window>,
}

impl Input {
    pub(super) fn new(
        io: Box<dyn AsyncWrite + Send + Unpin>,
        terminal: Option<&Terminal>,
        window: Arc<Window>,
    ) -> Self {
        Self {
            io,
            eof: terminal.map(eof_character),
            answer: Vec::new(),
            ended: false,
            buffer: BytesMut::new(),
            window,
        }
    }

    /// Asks for these streams, by id and kind.
    pub(super) async fn open(&mut self, streams: &[(u32, &str)]) -> io::Result<()> {
        let mut encoder = headers::Encoder::default();
        for (id, kind) in streams {
            let block = encoder.block(&[("streamtype", kind)]);
            frame::put_syn_stream(&mut self.buffer, *id, &block);
        }
        self.flush().await
    }

    /// Writes what waits. If it is dropped half way, the rest is written next time.
    async fn flush(&mut self) -> io::Result<()> {
        while self.buffer.has_remaining() {
            self.io.write_buf(&mut self.buffer).await?;
        }
        self.io.flush().await
    }

    /// Asks whether the runtime has passed on the input so far; see [`Window`].
    fn ask(&mut self, at_once: bool) -> bool {
        let first = self.window.ask(at_once);
        for ping in first.into_iter().flat_map(|first| first..first + WORKERS) {
            frame::put_ping(&mut self.buffer, 2 * ping + 1);
        }
        first.is_some()
    }
}

#[async_trait]
impl streams::Input for Input {
    async fn ready(&mut self) -> io::Result<()> {
        loop {
            // More may have been sent than was asked for.
            self.ask(false);
            if !self.buffer.is_empty() {
                self.flush().await?;
            }
            if self.window.free().await {
                return Ok(());
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        for chunk in bytes.chunks(MAX_CHUNK) {
            frame::put_data_header(&mut self.buffer, STDIN, false, chunk.len());
            // The bytes are not copied behind their header: a copy of each shows in bulk transfers.
            let mut frame = self.buffer.split().chain(chunk);
            self.io.write_all_buf(&mut frame).await?;
            self.window.sent();
            self.ask(false);
        }
        self.flush().await
    }

    /// A terminal's input has no end, and containerd takes an end of stdin for the end of the whole
    /// exec. So a terminal gets the character that stands for end of file.
    async fn end(&mut self) -> io::Result<()> {
        match self.eof {
            _ if self.ended => {}
            Some(eof) => frame::put_data(&mut self.buffer, STDIN, false, &[eof]),
            None => {
                self.ended = true;
                frame::put_data(&mut self.buffer, STDIN, true, &[]);
            }
        }
        self.flush().await
    }

    fn unwanted(&self) -> CancellationToken {
        self.window.unwanted.clone()
    }

    async fn discard(&mut self) -> io::Result<()> {
        if self.eof.is_none() {
            return self.end().await;
        }
        self.ended = true;
        frame::put_data(&mut self.buffer, STDIN, false, &self.answer);
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

    /// Pings, which a runtime answers. While some are not answered, more could fill its queues: then a
    /// frame without bytes.
    async fn keep_alive(&mut self) -> io::Result<()> {
        if !self.ask(true) {
            frame::put_data(&mut self.buffer, ERROR, false, &[]);
        }
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
