//! One exec over SPDY: its streams, in two halves that live in different tasks. The peer has no flow
//! control but TCP's, so the connection carries this exec alone and is read only as fast as its
//! output is taken.

use std::collections::VecDeque;
use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use podgate_proto::limits::MAX_CHUNK;
use podgate_proto::v1::TerminalSize;

use super::dial::Connection;
use super::spdy::frame::{self, Decoder, Frame};
use super::spdy::headers;
use super::status::{self, Exit};

// A client's stream ids are odd and rise. Runtimes tell streams by their header, not by order.
const ERROR: u32 = 1;
const STDIN: u32 = 3;
const STDOUT: u32 = 5;
/// Without a terminal: stderr.
const STDERR: u32 = 7;
/// With a terminal, which has no stderr of its own.
const RESIZE: u32 = 7;

/// Bytes of the status, at the most. It may repeat the whole command, escaped, more than once.
const MAX_STATUS: usize = 4 * 1024 * 1024;
/// Frames that may come before all streams are accepted.
const MAX_EARLY: usize = 64;
/// Bytes that are read at once: of one that says little, and of one that says much.
const MIN_ROOM: usize = 1024;
const MAX_ROOM: usize = 64 * 1024;
/// End of file as a terminal's line discipline reads it, unless the client's modes say another.
const EOF: u8 = 4;

/// Why an exec broke. The exit status of a program is not among these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection to the kubelet broke.
    #[error("the connection to the kubelet broke: {0}")]
    Io(#[from] io::Error),
    /// The peer speaks no SPDY/3.1.
    #[error("the kubelet's answer is no SPDY: {0}")]
    Frame(#[from] frame::Error),
    /// The connection ended before the program did, or before its output did.
    #[error("the kubelet closed the connection in mid-session")]
    Closed,
    /// The connection ended in order, but nobody said how the program fared.
    #[error("the kubelet gave no exit status")]
    NoStatus,
    /// The status is no status.
    #[error(transparent)]
    Status(#[from] status::Error),
    /// The status has no end.
    #[error("the kubelet's exit status is longer than {MAX_STATUS} bytes")]
    StatusTooLong,
    /// Output before the streams were accepted.
    #[error("the kubelet sent data before it accepted the streams")]
    TooEarly,
}

/// What a process gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes of stdout, or of the terminal.
    Stdout(Bytes),
    /// Bytes of stderr.
    Stderr(Bytes),
    /// How it ended; all its output came before.
    Exit(Exit),
}

/// The side of an exec that takes bytes.
#[derive(Debug)]
pub struct Input {
    io: WriteHalf<Connection>,
    tty: bool,
    eof: u8,
    buffer: BytesMut,
    pings: u32,
}

/// The side of an exec that gives bytes, and its end.
#[derive(Debug)]
pub struct Output {
    io: ReadHalf<Connection>,
    decoder: Decoder,
    bytes: BytesMut,
    /// Bytes to make room for before a read.
    room: usize,
    /// Events to give before anything else is read.
    early: VecDeque<Event>,
    status: Vec<u8>,
    /// Streams that the peer has not ended.
    open: Vec<u32>,
    going_away: bool,
    opened: u64,
}

/// Opens the streams of an exec on an upgraded connection. `bytes` came behind the answer's head.
pub(super) async fn open(
    connection: Connection,
    bytes: BytesMut,
    tty: bool,
) -> Result<(Input, Output), Error> {
    let (read, write) = tokio::io::split(connection);
    let mut input = Input {
        io: write,
        tty,
        eof: EOF,
        buffer: BytesMut::new(),
        pings: 0,
    };
    let mut output = Output {
        io: read,
        decoder: Decoder::default(),
        bytes,
        room: MIN_ROOM,
        early: VecDeque::new(),
        status: Vec::new(),
        open: if tty {
            vec![ERROR, STDOUT]
        } else {
            vec![ERROR, STDOUT, STDERR]
        },
        going_away: false,
        opened: podgate_helper::ticks::now(),
    };
    let fourth = if tty {
        (RESIZE, "resize")
    } else {
        (STDERR, "stderr")
    };
    let mut encoder = headers::Encoder::default();
    for (id, kind) in [
        (ERROR, "error"),
        (STDIN, "stdin"),
        (STDOUT, "stdout"),
        fourth,
    ] {
        let block = encoder.block("streamtype", kind);
        frame::put_syn_stream(&mut input.buffer, id, &block);
    }
    input.flush().await?;

    // Data that overtakes the replies makes runtimes lose it (kubernetes issue 16373).
    let mut awaited = 4;
    while awaited > 0 {
        match output.frame().await? {
            Frame::SynReply { .. } => awaited -= 1,
            Frame::GoAway => return Err(Error::Closed),
            frame => {
                let events = output.take(frame)?;
                output.early.extend(events);
                if output.early.len() > MAX_EARLY {
                    return Err(Error::TooEarly);
                }
            }
        }
    }
    Ok((input, output))
}

impl Input {
    /// Sends bytes to stdin. Waits while the process does not read.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.chunks(MAX_CHUNK) {
            frame::put_data(&mut self.buffer, STDIN, false, chunk);
            self.flush().await?;
        }
        Ok(())
    }

    /// Says that stdin is at its end. A terminal has no such end and containerd takes one for the
    /// end of all, so there it is the character that stands for it.
    pub async fn close(&mut self) -> io::Result<()> {
        let (fin, bytes) = if self.tty {
            (false, &[self.eof][..])
        } else {
            (true, &[][..])
        };
        frame::put_data(&mut self.buffer, STDIN, fin, bytes);
        self.flush().await
    }

    /// Tells the terminal's size; without a terminal nothing.
    pub async fn resize(&mut self, size: &TerminalSize) -> io::Result<()> {
        if !self.tty {
            return Ok(());
        }
        let json = format!("{{\"Width\":{},\"Height\":{}}}", size.columns, size.rows);
        frame::put_data(&mut self.buffer, RESIZE, false, json.as_bytes());
        self.flush().await
    }

    /// Keeps an idle exec from being cut by the runtime, which does so after 4 h.
    pub async fn ping(&mut self) -> io::Result<()> {
        frame::put_ping(&mut self.buffer, 2 * self.pings + 1);
        self.pings = (self.pings + 1) % (1 << 30);
        self.flush().await
    }

    /// The character that stands for end of file in the client's terminal modes.
    pub(super) fn set_eof_character(&mut self, character: u8) {
        self.eof = character;
    }

    async fn flush(&mut self) -> io::Result<()> {
        let frames = self.buffer.split();
        self.io.write_all(&frames).await?;
        self.io.flush().await
    }
}

impl Output {
    /// The next event. After [`Event::Exit`] there is none.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.early.pop_front() {
                return Ok(event);
            }
            if self.open.is_empty() || self.going_away {
                if self.status.is_empty() {
                    return Err(Error::NoStatus);
                }
                let exit = status::parse(&self.status)?;
                // A program that ran has ended its output before; one that did not has none.
                if matches!(exit, Exit::Code(_)) && self.open.iter().any(|&open| open != ERROR) {
                    return Err(Error::Closed);
                }
                return Ok(Event::Exit(exit));
            }
            let frame = match self.frame().await {
                // Runtimes have been seen to close without the frames that end the error stream.
                // The status is whole JSON or none, and output that has ended is complete.
                Err(Error::Closed) if self.open == [ERROR] && !self.status.is_empty() => {
                    Frame::GoAway
                }
                frame => frame?,
            };
            if let Some(event) = self.take(frame)? {
                return Ok(event);
            }
        }
    }

    /// When the runtime was asked to start it, in clock ticks since boot: its process is no older.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Puts events back, to be given again next, in this order; those without bytes are left out.
    pub(super) fn put_back<const N: usize>(&mut self, events: [Event; N]) {
        for event in events.into_iter().rev() {
            match &event {
                Event::Stdout(bytes) | Event::Stderr(bytes) if bytes.is_empty() => {}
                _ => self.early.push_front(event),
            }
        }
    }

    async fn frame(&mut self) -> Result<Frame, Error> {
        loop {
            if let Some(frame) = self.decoder.next(&mut self.bytes)? {
                return Ok(frame);
            }
            if self.bytes.is_empty() && self.bytes.capacity() > self.room {
                self.bytes = BytesMut::new();
            }
            self.bytes.reserve(self.room);
            let room = self.bytes.capacity() - self.bytes.len();
            match self.io.read_buf(&mut self.bytes).await {
                Ok(0) => return Err(Error::Closed),
                // Much is read at once where much comes; one that is idle holds little.
                Ok(read) if read == room => self.room = MAX_ROOM.min(self.room * 2),
                Ok(read) if read < self.room / 4 => self.room = MIN_ROOM.max(self.room / 2),
                Ok(_) => {}
                // A peer that is killed does not say goodbye in TLS.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(Error::Closed);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Event>, Error> {
        match frame {
            Frame::Data {
                stream,
                fin,
                payload,
            } => {
                if fin {
                    self.ended(stream);
                }
                match stream {
                    STDOUT if !payload.is_empty() => return Ok(Some(Event::Stdout(payload))),
                    STDERR if !payload.is_empty() => return Ok(Some(Event::Stderr(payload))),
                    ERROR if self.status.len() + payload.len() > MAX_STATUS => {
                        return Err(Error::StatusTooLong);
                    }
                    ERROR => self.status.extend_from_slice(&payload),
                    _ => {}
                }
            }
            Frame::Reset { stream } => self.ended(stream),
            Frame::GoAway => self.going_away = true,
            Frame::SynReply { .. } | Frame::Other => {}
        }
        Ok(None)
    }

    fn ended(&mut self, stream: u32) {
        self.open.retain(|&open| open != stream);
    }
}
