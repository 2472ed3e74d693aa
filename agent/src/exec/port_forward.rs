//! One port-forward over SPDY, on a connection of its own: a connection to a port of a pod's loopback.
//! The kubelet says that none came about only after it has accepted the streams, so a moment is waited
//! for that.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use podgate_proto::limits::MAX_CHUNK;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::frames::FrameReader;
use super::spdy::frame::{self, Frame};
use super::spdy::headers;
use crate::connection::{Connection, Read, Write};
use crate::streams::Lost;

/// The protocol that the upgrade asks for.
pub(crate) const PROTOCOL: &str = "portforward.k8s.io";

const ERROR: u32 = 1;
const DATA: u32 = 3;
/// Bytes of the runtime's words that are kept.
const MAX_WORDS: usize = 4096;
/// A refused connection is known within milliseconds. Later it breaks off.
const REFUSED: Duration = Duration::from_millis(25);

/// Why there is no connection, or no longer one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the connection to the kubelet broke: {0}")]
    Io(#[from] io::Error),
    #[error("the kubelet's answer is not SPDY: {0}")]
    Frame(#[from] frame::Error),
    #[error("the kubelet closed the connection")]
    Closed,
    /// In the runtime's own words.
    #[error("{0}")]
    NotConnected(String),
}

/// Opens the streams of a port-forward. `bytes` has come on the connection already.
pub(crate) async fn open(
    connection: impl AsyncRead + AsyncWrite + Send + Sync + 'static,
    bytes: BytesMut,
    port: u16,
) -> Result<Connection, Error> {
    let (read, write) = tokio::io::split(connection);
    let mut input = Input {
        io: Box::new(write),
        buffer: BytesMut::new(),
        ping: 1,
    };
    let mut output = Output {
        frames: FrameReader::new(Box::new(read), bytes),
        early: VecDeque::new(),
        said: Vec::new(),
        ended: false,
    };
    let (mut encoder, port) = (headers::Encoder::default(), port.to_string());
    for (id, kind) in [(ERROR, "error"), (DATA, "data")] {
        let headers = [("streamtype", kind), ("port", &port), ("requestid", "0")];
        let block = encoder.block(&headers);
        frame::put_syn_stream(&mut input.buffer, id, &block);
    }
    // Nothing is written to the error stream.
    frame::put_data(&mut input.buffer, ERROR, true, &[]);
    input.flush().await?;
    output.accepted().await?;
    if let Ok(first) = timeout(REFUSED, output.next()).await {
        output.early.extend(first?);
    }
    Ok(Connection {
        write: Box::new(input),
        read: Box::new(output),
    })
}

struct Input {
    io: Box<dyn AsyncWrite + Send + Unpin>,
    buffer: BytesMut,
    /// The id of the next ping; a client's are odd.
    ping: u32,
}

impl Input {
    async fn flush(&mut self) -> io::Result<()> {
        while self.buffer.has_remaining() {
            self.io.write_buf(&mut self.buffer).await?;
        }
        self.io.flush().await
    }
}

#[async_trait]
impl Write for Input {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.chunks(MAX_CHUNK) {
            frame::put_data(&mut self.buffer, DATA, false, chunk);
        }
        self.flush().await
    }

    async fn end(&mut self) -> io::Result<()> {
        frame::put_data(&mut self.buffer, DATA, true, &[]);
        self.flush().await
    }

    async fn keep_alive(&mut self) -> io::Result<()> {
        frame::put_ping(&mut self.buffer, self.ping);
        self.ping = (self.ping + 2) % (1 << 31);
        self.flush().await
    }
}

struct Output {
    frames: FrameReader,
    /// Read before anybody asked for it.
    early: VecDeque<Bytes>,
    /// What the runtime says of a failure.
    said: Vec<u8>,
    ended: bool,
}

impl Output {
    /// Waits until both streams are accepted: data that overtakes the replies may be lost.
    async fn accepted(&mut self) -> Result<(), Error> {
        let mut awaited = 2;
        while awaited > 0 {
            match self.frame().await? {
                Frame::SynReply { .. } => awaited -= 1,
                frame => self.take(frame),
            }
            if self.ended {
                return Err(self.failed().unwrap_or(Error::Closed));
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(bytes) = self.early.pop_front() {
                return Ok(Some(bytes));
            }
            if self.ended {
                return self.failed().map_or(Ok(None), Err);
            }
            match self.frame().await {
                Ok(frame) => self.take(frame),
                Err(error) => return Err(self.failed().unwrap_or(error)),
            }
        }
    }

    fn failed(&self) -> Option<Error> {
        let words = words(&String::from_utf8_lossy(&self.said));
        (!words.is_empty()).then_some(Error::NotConnected(words))
    }

    fn take(&mut self, frame: Frame) {
        match frame {
            Frame::Data {
                stream: DATA,
                fin,
                payload,
            } => {
                self.early
                    .extend(Some(payload).filter(|bytes| !bytes.is_empty()));
                self.ended |= fin;
            }
            Frame::Data { payload, .. } => {
                let room = MAX_WORDS.saturating_sub(self.said.len());
                self.said.extend(payload.into_iter().take(room));
            }
            Frame::Reset { stream } => self.ended |= stream == DATA,
            Frame::GoAway => self.ended = true,
            Frame::SynReply { .. } | Frame::Ping { .. } | Frame::Other => {}
        }
    }

    async fn frame(&mut self) -> Result<Frame, Error> {
        let frame: Result<_, Error> = self.frames.next().await;
        frame?.ok_or(Error::Closed)
    }
}

#[async_trait]
impl Read for Output {
    async fn next(&mut self) -> Result<Option<Bytes>, Lost> {
        self.next().await.map_err(Lost::new)
    }
}

/// The operating system's own words in what a runtime says, where they are known.
fn words(said: &str) -> String {
    const KNOWN: [(&str, &str); 5] = [
        ("connection refused", "connection refused"),
        ("i/o timeout", "connection timed out"),
        ("connection timed out", "connection timed out"),
        ("no route to host", "no route to host"),
        ("network is unreachable", "network is unreachable"),
    ];
    let lower = said.to_lowercase();
    let known = KNOWN.iter().find(|(theirs, _)| lower.contains(theirs));
    known.map_or(said.trim(), |(_, ours)| ours).to_owned()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;

    /// What the kubelet sends after it has accepted both streams, and how the connection goes on.
    async fn opened(sent: &[u8]) -> (Result<Connection, Error>, DuplexStream) {
        let (ours, mut theirs) = duplex(64 * 1024);
        let mut bytes = BytesMut::new();
        for stream in [ERROR, DATA] {
            bytes.extend_from_slice(&[0x80, 3, 0, 2, 0, 0, 0, 4]);
            bytes.extend_from_slice(&stream.to_be_bytes());
        }
        theirs.write_all(&bytes).await.unwrap();
        theirs.write_all(sent).await.unwrap();
        (open(ours, BytesMut::new(), 80).await, theirs)
    }

    fn data(stream: u32, fin: bool, bytes: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        frame::put_data(&mut out, stream, fin, bytes);
        out.to_vec()
    }

    #[tokio::test]
    async fn bytes_go_both_ways_until_each_ends() {
        let sent = [data(DATA, false, b"hello"), data(DATA, true, b" you")].concat();
        let (opened, mut peer) = opened(&sent).await;
        let mut connection = opened.unwrap();
        let mut heard = Vec::new();
        while let Some(bytes) = connection.read.next().await.unwrap() {
            heard.extend_from_slice(&bytes);
        }
        assert_eq!(heard, b"hello you");
        connection.write.write(b"bye").await.unwrap();
        connection.write.end().await.unwrap();
        drop(connection);
        let mut told = Vec::new();
        peer.read_to_end(&mut told).await.unwrap();
        let end = [data(DATA, false, b"bye"), data(DATA, true, b"")].concat();
        assert!(told.ends_with(&end), "{told:?}");
    }

    #[tokio::test]
    async fn a_refused_connection_has_its_words() {
        let text = b"error forwarding port 80 to pod x, uid : failed to connect to localhost:80 \
            inside namespace \"x\", IPv4: dial tcp4 127.0.0.1:80: connect: connection refused";
        let sent = [data(ERROR, true, text), data(DATA, true, b"")].concat();
        let (opened, _peer) = opened(&sent).await;
        let error = opened.err().unwrap();
        assert_eq!(error.to_string(), "connection refused");
    }

    #[tokio::test]
    async fn one_that_breaks_off_has_not_ended() {
        let (opened, peer) = opened(&data(DATA, false, b"half")).await;
        let mut connection = opened.unwrap();
        drop(peer);
        assert_eq!(connection.read.next().await.unwrap().unwrap(), "half");
        assert!(connection.read.next().await.is_err());
    }

    #[test]
    fn words_that_are_not_known_are_given_as_they_are() {
        assert_eq!(words("  something else \n"), "something else");
        assert_eq!(words("dial tcp: I/O timeout"), "connection timed out");
    }
}
