//! An exec straight at the kubelet's stand-in, with nothing of Podgate between: a connection, the
//! upgrade, four streams. The gateway's cost is what a session takes beyond this.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::ClientConfig;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::fixtures::stand::{NODE, Stand, TOKEN};
use crate::instruments::program::{Input, Output, Program};
use crate::stand_ins::embedded::frame::{self, Frame};

const ERROR: u32 = 1;
const STDIN: u32 = 3;
const STDOUT: u32 = 5;
/// The fourth stream: stderr, or a terminal's size.
const FOURTH: u32 = 7;
/// Bytes of a data frame, as many as the agent sends at once.
const CHUNK: usize = 32 * 1024;

/// A client of a stand's kubelet.
#[derive(Clone)]
pub struct Direct {
    port: u16,
    tls: Arc<ClientConfig>,
}

/// A program on a connection of its own.
pub type Exec = Program<ToKubelet, FromKubelet>;

impl Direct {
    /// A client that the kubelet knows by the agent's token.
    ///
    /// # Errors
    /// Never for the certificates of a stand.
    pub fn new(stand: &Stand) -> Result<Self> {
        Ok(Self {
            port: stand.kubelet.port(),
            tls: Arc::new(stand.pki.client_config(None)?),
        })
    }

    /// Runs a command by the container's `sh` in pod `demo`, on a terminal or not.
    ///
    /// # Errors
    /// When the kubelet does not serve it.
    pub async fn exec(&self, command: &str, tty: bool) -> Result<Exec> {
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await?;
        tcp.set_nodelay(true)?;
        let mut tls = TlsConnector::from(Arc::clone(&self.tls))
            .connect(NODE.try_into()?, tcp)
            .await?;
        let fourth = if tty { "tty=1" } else { "error=1" };
        let command = utf8_percent_encode(command, NON_ALPHANUMERIC);
        let request = format!(
            "POST /exec/default/demo/main?input=1&output=1&{fourth}&command=sh&command=-c&command={command} \
             HTTP/1.1\r\nHost: {NODE}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
             X-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0\r\n\
             Authorization: Bearer {TOKEN}\r\n\r\n"
        );
        tls.write_all(request.as_bytes()).await?;
        tls.flush().await?;
        let mut buffer = BytesMut::new();
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break buffer.split_to(end + 4);
            }
            ensure!(tls.read_buf(&mut buffer).await? > 0, "no answer");
        };
        let head = String::from_utf8_lossy(&head);
        ensure!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let (read, write) = tokio::io::split(tls);
        let mut exec = Program {
            input: ToKubelet(write),
            output: FromKubelet {
                read,
                buffer,
                status: Vec::new(),
            },
        };
        exec.input.open(tty).await?;
        // Data before the replies would be lost (kubernetes #16373).
        for _ in 0..4 {
            let reply = exec.output.frame().await?;
            ensure!(matches!(reply, Some(Frame::Other(2))), "{reply:?}");
        }
        Ok(exec)
    }
}

/// A connection's frames to the kubelet.
pub struct ToKubelet(WriteHalf<TlsStream<TcpStream>>);

impl ToKubelet {
    async fn open(&mut self, tty: bool) -> Result<()> {
        let fourth = if tty { "resize" } else { "stderr" };
        let mut frames = BytesMut::new();
        for (id, kind) in [
            (ERROR, "error"),
            (STDIN, "stdin"),
            (STDOUT, "stdout"),
            (FOURTH, fourth),
        ] {
            let block = block(id == ERROR, kind);
            frames.put_u32(0x8003_0001);
            frames.put_u32(10 + block.len() as u32);
            frames.put_u32(id);
            frames.put_slice(&[0; 6]);
            frames.put_slice(&block);
        }
        self.send(&frames).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(bytes).await?;
        Ok(self.0.flush().await?)
    }
}

impl Input for ToKubelet {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        for chunk in bytes.chunks(CHUNK) {
            self.send(&frame::data(STDIN, false, chunk)).await?;
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<()> {
        self.send(&frame::data(STDIN, true, &[])).await
    }
}

/// A connection's frames from the kubelet.
pub struct FromKubelet {
    read: ReadHalf<TlsStream<TcpStream>>,
    buffer: BytesMut,
    /// What came on the error stream.
    status: Vec<u8>,
}

impl FromKubelet {
    async fn frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = frame::decode(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(2 * CHUNK);
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

impl Output for FromKubelet {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.frame().await.context("the kubelet's connection")? {
            match frame {
                Frame::Data {
                    id: ERROR, payload, ..
                } => self.status.extend_from_slice(&payload),
                Frame::Data { payload, .. } if !payload.is_empty() => return Ok(Some(payload)),
                Frame::GoAway => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    fn status(&self) -> Option<u32> {
        let status: Value = serde_json::from_slice(&self.status).ok()?;
        let word = |at: &str| status.pointer(at)?.as_str();
        if word("/status") == Some("Success") {
            return Some(0);
        }
        match word("/details/causes/0/reason") {
            Some("ExitCode") => word("/details/causes/0/message")?.parse().ok(),
            _ => None,
        }
    }
}

/// `streamtype: <kind>` in a stored deflate block, and the empty one that flushes; the first begins
/// the connection's zlib stream.
fn block(first: bool, kind: &str) -> BytesMut {
    let mut pairs = BytesMut::new();
    pairs.put_u32(1);
    for text in ["streamtype", kind] {
        pairs.put_u32(text.len() as u32);
        pairs.put_slice(text.as_bytes());
    }
    let mut block = BytesMut::new();
    block.put_slice(if first { &[0x78, 0x01, 0] } else { &[0] });
    block.put_u16_le(pairs.len() as u16);
    block.put_u16_le(!(pairs.len() as u16));
    block.put_slice(&pairs);
    block.put_slice(&[0, 0, 0, 0xff, 0xff]);
    block
}
