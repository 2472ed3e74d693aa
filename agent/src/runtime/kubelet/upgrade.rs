//! The request that turns a connection into SPDY/3.1 (k8s.io/apimachinery httpstream/spdy), and
//! its answer. Both are written out here: HTTP libraries refuse a URI with a 100 KiB command in its
//! query, while the kubelet takes 1 MiB.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::dial::Connection;

/// The kubelet asks the container runtime before it answers. Healthy ones take milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
/// The most bytes of the answer's head.
const MAX_HEAD: usize = 64 * 1024;
/// The most bytes of a refusal's text that are kept.
const MAX_REFUSAL: usize = 4 * 1024;
const MAX_HEADERS: usize = 64;
/// The characters that are not escaped in a query (RFC 3986 §2.3).
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Why the kubelet did not switch to SPDY.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("connection lost while asking: {0}")]
    Io(#[from] std::io::Error),
    #[error("no answer to the request within {ANSWER_TIMEOUT:?}")]
    Timeout,
    #[error("the answer to the request is not HTTP: {0}")]
    Http(#[from] httparse::Error),
    #[error("the answer to the request is longer than {MAX_HEAD} bytes")]
    TooLong,
    #[error("status {status}: {text}")]
    Refused {
        status: u16,
        /// The first line of its text.
        text: String,
    },
}

/// An exec's URL path and query. The values are given as they are, and escaped here.
pub(super) fn exec_path(
    namespace: &str,
    pod: &str,
    uid: &str,
    container: &str,
    argv: &[String],
    tty: bool,
) -> String {
    let escape = |text| utf8_percent_encode(text, QUERY);
    let mut path = format!("/exec/{namespace}/{pod}/{uid}/{container}?input=1&output=1");
    path.push_str(if tty { "&tty=1" } else { "&error=1" });
    for argument in argv {
        path.push_str("&command=");
        path.extend(escape(argument));
    }
    path
}

/// The protocol of an exec.
pub(super) const EXEC: &str = "v4.channel.k8s.io";

/// A port-forward's URL path.
pub(super) fn port_forward_path(namespace: &str, pod: &str, uid: &str) -> String {
    format!("/portForward/{namespace}/{pod}/{uid}")
}

/// Sends the request and reads the answer's head. Answers the bytes behind the head, which are SPDY.
pub(super) async fn upgrade(
    connection: &mut Connection,
    host: &str,
    (path, protocol): (&str, &str),
    token: Option<&str>,
) -> Result<BytesMut, Error> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: podgate-agent\r\n\
         Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
         X-Stream-Protocol-Version: {protocol}\r\nContent-Length: 0\r\n"
    );
    if let Some(token) = token {
        request.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    request.push_str("\r\n");
    let ask = async {
        connection.write_all(request.as_bytes()).await?;
        connection.flush().await?;
        answer(connection).await
    };
    timeout(ANSWER_TIMEOUT, ask)
        .await
        .unwrap_or(Err(Error::Timeout))
}

async fn answer(connection: &mut Connection) -> Result<BytesMut, Error> {
    let mut bytes = BytesMut::with_capacity(4 * 1024);
    let head = loop {
        if let Some(head) = parse_head(&bytes)? {
            break head;
        }
        if bytes.len() > MAX_HEAD {
            return Err(Error::TooLong);
        }
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
    };
    bytes.advance(head.length);
    if head.status == 101 {
        return Ok(bytes);
    }
    let wanted = head.body.min(MAX_REFUSAL);
    while bytes.len() < wanted && connection.read_buf(&mut bytes).await? > 0 {}
    let text = String::from_utf8_lossy(&bytes);
    let text = text.lines().next().unwrap_or_default().trim().to_owned();
    Err(Error::Refused {
        status: head.status,
        text,
    })
}

struct Head {
    /// In bytes, the empty line included.
    length: usize,
    status: u16,
    /// Content-Length; 0 where there is none.
    body: usize,
}

/// The head at the front of `bytes`, once it is whole.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else {
        return Ok(None);
    };
    let status = response.code.ok_or(httparse::Error::Status)?;
    let body = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
        .unwrap_or(0);
    Ok(Some(Head {
        length,
        status,
        body,
    }))
}
