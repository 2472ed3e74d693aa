//! The client's side of an exec: a SPDY/3.1 connection with sub-protocol v4 as containerd's
//! streaming server keeps it. Streams are opened, then frames go both ways until either ends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use rustix::termios::Winsize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::exec::{self, Input, Queues, Streams};
use super::frame::{self, Frame};
use super::headers::{FIRST_EMPTY, HeaderReader, NEXT_EMPTY};
use super::shared::{Exec, Inner};

/// The CRI plugin's `stream_creation_timeout`.
const OPENING: Duration = Duration::from_secs(30);

/// Frames that wait for the command, as many as spdystream queues.
const INPUT_FRAMES: usize = 50;

/// Frames that wait for the client.
const OUTPUT_FRAMES: usize = 16;

/// An exec that waits for its client's stream. It does not keep the runtime from ending.
pub(crate) struct Serving {
    pub(super) inner: Arc<Inner>,
    pub(super) container: String,
    pub(super) exec: Exec,
}

impl Serving {
    /// Serves the exec until the client or the command has gone; `omit_status` is asked at the
    /// end, and `lose_input` whenever input comes.
    pub(crate) async fn run(
        self,
        client: impl AsyncRead + AsyncWrite + Send,
        omit_status: impl FnOnce() -> bool + Send + 'static,
        lose_input: impl Fn() -> bool + Send,
    ) {
        // An error is the client's: a broken frame or a lost connection. It is answered as the
        // runtime does, by closing the connection.
        if let Err(error) = serve(self, client, omit_status, lose_input).await {
            tracing::debug!("exec stream: {error:#}");
        }
    }
}

async fn serve(
    serving: Serving,
    client: impl AsyncRead + AsyncWrite + Send,
    omit_status: impl FnOnce() -> bool + Send + 'static,
    lose_input: impl Fn() -> bool + Send,
) -> Result<()> {
    let Serving {
        inner,
        container,
        exec,
    } = serving;
    let (read, mut write) = tokio::io::split(client);
    let mut frames = Frames::new(read);
    let streams = timeout(OPENING, open(&mut frames, &mut write, &exec))
        .await
        .context("timed out waiting for client to create streams")??;

    let (output, output_frames) = mpsc::channel(OUTPUT_FRAMES);
    let (input, input_bytes) = mpsc::channel(INPUT_FRAMES);
    let (size, sizes) = watch::channel(None);
    let (pongs, pong_ids) = mpsc::channel(1);
    let queues = Queues {
        input: input_bytes,
        size: sizes,
        output,
    };
    // A task of its own, because a command outlives its client. The task ends with its process, and the
    // process with the runtime.
    tokio::spawn(exec::run(
        inner,
        container,
        exec,
        streams.clone(),
        queues,
        omit_status,
    ));
    let to_command = ToCommand {
        streams,
        input: Some(input),
        size,
        pongs,
    };
    tokio::select! {
        ended = to_command.run(&mut frames, lose_input) => ended,
        ended = send(write, output_frames, pong_ids) => ended,
    }
}

/// Decoded frames of a client.
pub(super) struct Frames<R> {
    read: R,
    buffer: BytesMut,
    pub(super) headers: HeaderReader,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(read: R) -> Self {
        Self {
            read,
            buffer: BytesMut::new(),
            headers: HeaderReader::new(),
        }
    }

    /// The next frame if it is here already.
    fn ready(&mut self) -> Result<Option<Frame>> {
        Ok(frame::decode(&mut self.buffer)?)
    }

    /// The next frame; `None` when the client has gone.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.ready()? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(64 * 1024);
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Waits for exactly the streams of this exec. A stream is answered only when all that the
/// client has sent so far is read, and data for one not yet answered is lost: what can happen
/// at a real server to a client that does not wait (kubernetes #16373) happens here always.
async fn open<R: AsyncRead + Unpin>(
    frames: &mut Frames<R>,
    write: &mut (impl AsyncWrite + Unpin),
    exec: &Exec,
) -> Result<Streams> {
    let mut streams = Streams::default();
    let mut unanswered = Vec::new();
    let mut empty_block = FIRST_EMPTY;
    loop {
        let frame = match frames.ready()? {
            Some(frame) => frame,
            None => {
                for id in unanswered.drain(..) {
                    write.write_all(&frame::reply(id, empty_block)).await?;
                    empty_block = NEXT_EMPTY;
                }
                write.flush().await?;
                if streams.complete(exec) {
                    return Ok(streams);
                }
                frames
                    .next()
                    .await?
                    .context("the client has gone before opening its streams")?
            }
        };
        match frame {
            Frame::Open { id, block, .. } => {
                let headers = frames.headers.read(&block)?;
                streams.note(id, &headers);
                unanswered.push(id);
            }
            Frame::Headers { block } => drop(frames.headers.read(&block)?),
            Frame::Ping { id } => write.write_all(&frame::ping(id)).await?,
            Frame::GoAway => bail!("the client went away before opening its streams"),
            Frame::Data { .. } | Frame::Reset { .. } | Frame::Other(_) => {}
        }
    }
}

impl Streams {
    fn note(&mut self, id: u32, headers: &[(String, String)]) {
        self.last = self.last.max(id);
        let kind = headers.iter().find(|(name, _)| name == "streamtype");
        match kind.map(|(_, value)| value.as_str()) {
            Some("error") => self.error = id,
            Some("stdin") => self.stdin = id,
            Some("stdout") => self.stdout = id,
            Some("stderr") => self.stderr = id,
            Some("resize") => self.resize = id,
            // The server only logs it.
            _ => {}
        }
    }

    fn complete(&self, exec: &Exec) -> bool {
        let here = |id: u32, wanted: bool| id != 0 || !wanted;
        here(self.error, true)
            && here(self.stdin, exec.stdin)
            && here(self.stdout, exec.stdout)
            && here(self.stderr, exec.stderr)
            && here(self.resize, exec.tty)
    }
}

/// Hands a client's frames to the command, one after the other: a command that does not read freezes
/// the whole connection once the queue is full, pings included.
struct ToCommand {
    streams: Streams,
    input: Option<mpsc::Sender<Input>>,
    size: watch::Sender<Option<Winsize>>,
    pongs: mpsc::Sender<u32>,
}

impl ToCommand {
    async fn run<R: AsyncRead + Unpin>(
        mut self,
        frames: &mut Frames<R>,
        lose_input: impl Fn() -> bool,
    ) -> Result<()> {
        while let Some(frame) = frames.next().await? {
            match frame {
                Frame::Data { id, .. } if id == self.streams.stdin && lose_input() => {}
                Frame::Data { id, fin, payload } if id == self.streams.stdin => {
                    self.feed(fin, payload).await;
                }
                Frame::Data { id, payload, .. } if id == self.streams.resize => {
                    if let Some(size) = size(&payload) {
                        self.size.send_replace(Some(size));
                    }
                }
                Frame::Ping { id } => self.pongs.send(id).await?,
                Frame::Open { block, .. } | Frame::Headers { block } => {
                    frames.headers.read(&block)?;
                }
                Frame::Data { .. } | Frame::Reset { .. } | Frame::GoAway | Frame::Other(_) => {}
            }
        }
        Ok(())
    }

    async fn feed(&mut self, fin: bool, payload: Bytes) {
        let Some(input) = &self.input else { return };
        // The other end of the queue lives until the command has ended. After that, nobody needs the
        // bytes.
        if !payload.is_empty() {
            let _ = input.send(Input::Bytes(payload)).await;
        }
        if fin {
            let _ = input.send(Input::End).await;
        }
    }
}

/// `{"Width":80,"Height":24}`
fn size(payload: &[u8]) -> Option<Winsize> {
    let size: Value = serde_json::from_slice(payload).ok()?;
    let field = |name: &str| u16::try_from(size.get(name)?.as_u64()?).ok();
    let (ws_col, ws_row) = (field("Width")?, field("Height")?);
    Some(Winsize {
        ws_row,
        ws_col,
        ws_xpixel: 0,
        ws_ypixel: 0,
    })
}

/// Sends frames until the command has sent its last, then closes the connection.
async fn send(
    mut write: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<Bytes>,
    mut pongs: mpsc::Receiver<u32>,
) -> Result<()> {
    loop {
        let frame = tokio::select! {
            frame = frames.recv() => match frame {
                Some(frame) => frame,
                None => break,
            },
            Some(id) = pongs.recv() => frame::ping(id),
        };
        write.write_all(&frame).await?;
        write.flush().await?;
    }
    write.shutdown().await?;
    Ok(())
}
