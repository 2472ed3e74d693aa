//! Exec and port-forward in containerd: the kubelet only passes bytes between its client and the runtime's
//! streaming server, and closes both as soon as either ends.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use super::Front;
use super::damage::Client;
use super::faults::Faults;
use super::routes::{Answer, faulty, plain};
use crate::real::containerd::Containerd;
use crate::stand_ins::embedded::Exec;
use crate::stand_ins::listener::Peer;

const BUFFER: usize = 64 * 1024;

/// How a status begins.
const STATUS: &[u8] = br#"{"metadata":{},"status":"#;
/// The id that the agent gives the stream of input.
const STDIN: u64 = 3;

pub(super) async fn exec(
    front: Arc<Front>,
    containerd: &Containerd,
    peer: &Peer,
    request: &Request<Incoming>,
    upgrade: OnUpgrade,
    container: &str,
    exec: &Exec,
) -> Answer {
    let Exec {
        argv,
        stdin,
        stdout,
        stderr,
        tty,
    } = exec;
    let url = containerd
        .exec_url(container, argv, *stdin, *stdout, *stderr, *tty)
        .await;
    to(front, url, peer, request, upgrade).await
}

/// Passes a request on to the runtime's streaming server.
pub(super) async fn to(
    front: Arc<Front>,
    url: Result<String, tonic::Status>,
    peer: &Peer,
    request: &Request<Incoming>,
    upgrade: OnUpgrade,
) -> Answer {
    let url = match url {
        Ok(url) => url,
        Err(status) => return refused(&status),
    };
    let mut answer = match forward(&url, request, peer).await {
        Ok(answer) => answer,
        Err(error) => return plain(StatusCode::BAD_GATEWAY, format!("{error:#}")),
    };
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let runtime = hyper::upgrade::on(&mut answer);
        let faults = Arc::clone(&front.faults);
        front.upgraded(peer, upgrade, move |client| async move {
            if let Ok(runtime) = runtime.await {
                relay(client, TokioIo::new(runtime), &faults).await;
            }
        });
    }
    let (parts, body) = answer.into_parts();
    let body = match parts.status {
        StatusCode::SWITCHING_PROTOCOLS => Bytes::new(),
        _ => body
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default(),
    };
    Response::from_parts(parts, Full::new(body))
}

/// An error of the CRI call, as the kubelet's `streaming.WriteError` puts it.
fn refused(status: &tonic::Status) -> Answer {
    let code = match status.code() {
        Code::NotFound => 404,
        Code::ResourceExhausted => 429,
        _ => 500,
    };
    faulty(
        code,
        format!(
            "rpc error: code = {:?} desc = {}",
            status.code(),
            status.message()
        ),
    )
}

/// The request, with its upgrade headers, to the streaming server; its answer.
async fn forward(
    url: &str,
    request: &Request<Incoming>,
    peer: &Peer,
) -> Result<Response<Incoming>> {
    let url: Uri = url.parse()?;
    ensure!(
        url.scheme_str() == Some("http"),
        "{url}: not the plain streaming server"
    );
    let authority = url.authority().context("no authority")?.as_str();
    let stream = TcpStream::connect(authority)
        .await
        .with_context(|| url.to_string())?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    peer.spawn(async move {
        // Its errors are those of the request or of the stream after it.
        let _ = connection.with_upgrades().await;
    });
    let path = url.path_and_query().context("no path")?.as_str();
    let mut forwarded = Request::builder()
        .method(request.method())
        .uri(path)
        .body(Empty::<Bytes>::new())?;
    let headers = forwarded.headers_mut();
    headers.extend(request.headers().clone());
    headers.remove(header::AUTHORIZATION);
    headers.insert(header::HOST, authority.parse()?);
    Ok(sender.send_request(forwarded).await?)
}

async fn relay(client: Client, runtime: impl AsyncRead + AsyncWrite, faults: &Faults) {
    let (from_client, mut to_client) = tokio::io::split(client);
    let (from_runtime, mut to_runtime) = tokio::io::split(runtime);
    let down = async {
        let copied = if faults.omit_status() {
            copy_frames(from_runtime, &mut to_client, |_, payload| {
                !payload.starts_with(STATUS)
            })
            .await
        } else {
            copy(from_runtime, &mut to_client, faults).await
        };
        if faults.frozen() {
            std::future::pending().await
        } else {
            copied
        }
    };
    let up = async {
        if faults.lose_input() {
            copy_frames(from_client, &mut to_runtime, |id, _| id != STDIN).await
        } else {
            copy(from_client, &mut to_runtime, &Faults::default()).await
        }
    };
    let ended = tokio::select! {
        ended = down => ended,
        ended = up => ended,
    };
    // After an error the sockets are only dropped: a cut connection must look cut.
    if ended.is_ok() {
        let _ = tokio::join!(to_client.shutdown(), to_runtime.shutdown());
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    to: &mut (impl AsyncWrite + Unpin),
    faults: &Faults,
) -> std::io::Result<()> {
    let mut buffer = BytesMut::with_capacity(BUFFER);
    while from.read_buf(&mut buffer).await? > 0 {
        if !faults.frozen() {
            to.write_all(&buffer).await?;
            to.flush().await?;
        }
        buffer.clear();
    }
    Ok(())
}

/// Copies SPDY frames, but of data only what `keeps` by its stream and its bytes.
async fn copy_frames(
    mut from: impl AsyncRead + Unpin,
    to: &mut (impl AsyncWrite + Unpin),
    keeps: impl Fn(u64, &[u8]) -> bool,
) -> std::io::Result<()> {
    loop {
        let mut head = [0; 8];
        match from.read_exact(&mut head).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        };
        let words = u64::from_be_bytes(head);
        let (control, id) = (words >> 63 == 1, words >> 32);
        let length = usize::try_from(words & 0xff_ffff).map_err(std::io::Error::other)?;
        let mut payload = vec![0; length];
        from.read_exact(&mut payload).await?;
        if control || keeps(id, &payload) {
            to.write_all(&head).await?;
            to.write_all(&payload).await?;
            to.flush().await?;
        }
    }
}
