//! A port-forward to this machine's own loopback, as containerd's streaming server keeps it: what
//! cannot be connected is said on the error stream, and a second after one direction has ended the
//! connection is closed.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::frame::{self, Frame};
use super::headers::{FIRST_EMPTY, NEXT_EMPTY};
use super::server::Frames;

/// How long the other direction may go on.
const GRACE: Duration = Duration::from_secs(1);
const CHUNK: usize = 32 * 1024;

/// The streams of one port-forward.
#[derive(Default)]
struct Streams {
    error: u32,
    data: u32,
    port: u16,
}

/// Serves one port-forward on a connection.
pub(crate) async fn serve(client: impl AsyncRead + AsyncWrite + Send) {
    // An error is the client's, as of an exec.
    if let Err(error) = run(client).await {
        tracing::debug!("port-forward: {error:#}");
    }
}

async fn run(client: impl AsyncRead + AsyncWrite + Send) -> Result<()> {
    let (read, mut write) = tokio::io::split(client);
    let mut frames = Frames::new(read);
    let streams = open(&mut frames, &mut write).await?;
    let Streams { error, data, port } = streams;
    let target = match TcpStream::connect(("127.0.0.1", port)).await {
        Ok(target) => target,
        Err(refused) => {
            let text = format!(
                "error forwarding port {port} to pod x, uid : failed to connect to localhost:{port} \
                 inside namespace \"x\", IPv4: dial tcp4 127.0.0.1:{port}: connect: {}",
                refused.to_string().to_lowercase()
            );
            write
                .write_all(&frame::data(error, true, text.as_bytes()))
                .await?;
            write.write_all(&frame::data(data, true, &[])).await?;
            return Ok(write.shutdown().await?);
        }
    };
    let (mut from_target, mut to_target) = target.into_split();
    let (pongs, mut pinged) = mpsc::channel(1);
    let (over, mut first_over) = mpsc::channel(2);
    let up_over = over.clone();
    let up = async move {
        while let Some(frame) = frames.next().await? {
            match frame {
                Frame::Data { id, fin, payload } if id == data => {
                    to_target.write_all(&payload).await?;
                    if fin {
                        to_target.shutdown().await?;
                        let _ = up_over.send(()).await;
                    }
                }
                Frame::Ping { id } => pongs.send(id).await?,
                _ => {}
            }
        }
        anyhow::Ok(())
    };
    let down = async {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        let mut grace = std::pin::pin!(async {
            let _ = first_over.recv().await;
            sleep(GRACE).await;
        });
        loop {
            buffer.clear();
            let out = tokio::select! {
                read = from_target.read_buf(&mut buffer) => match read? {
                    0 => break,
                    _ => frame::data(data, false, &buffer),
                },
                Some(id) = pinged.recv() => frame::ping(id),
                () = &mut grace => break,
            };
            write.write_all(&out).await?;
            write.flush().await?;
        }
        for stream in [error, data] {
            write.write_all(&frame::data(stream, true, &[])).await?;
        }
        write.flush().await?;
        anyhow::Ok(())
    };
    // The client may send on for a moment after the target has ended.
    let ended = tokio::select! {
        ended = up => ended,
        ended = async { down.await?; sleep(GRACE).await; Ok(()) } => ended,
    };
    drop(over);
    ended
}

/// Waits for both streams. As of an exec, a stream is answered once all that the client has sent is
/// read.
async fn open<R: AsyncRead + Unpin>(
    frames: &mut Frames<R>,
    write: &mut (impl AsyncWrite + Unpin),
) -> Result<Streams> {
    let mut streams = Streams::default();
    let mut block: &[u8] = FIRST_EMPTY;
    while streams.error == 0 || streams.data == 0 {
        let next = frames.next().await?;
        match next.context("the client has gone before opening its streams")? {
            Frame::Open {
                id, block: sent, ..
            } => {
                let headers = frames.headers.read(&sent)?;
                let header = |name: &str| {
                    let found = headers.iter().find(|(known, _)| known == name);
                    found.map(|(_, value)| value.clone()).unwrap_or_default()
                };
                streams.port = header("port").parse().context("a stream's port")?;
                match header("streamtype").as_str() {
                    "error" => streams.error = id,
                    "data" => streams.data = id,
                    kind => bail!("a stream of type {kind:?}"),
                }
                let reply: Bytes = frame::reply(id, block);
                write.write_all(&reply).await?;
                block = NEXT_EMPTY;
            }
            Frame::GoAway => bail!("the client went away before opening its streams"),
            _ => {}
        }
    }
    write.flush().await?;
    Ok(streams)
}
