//! A client of HTTP/2 whose header fields never end (RFC 9113 §6.10).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
/// Bytes of a frame, without which a peer takes no larger ones (RFC 9113 §4.2).
const FRAME: usize = 16 * 1024;

/// Sends one request whose header fields have this many bytes and no end. Returns how many were sent when
/// the peer closed the connection; `None` if it took them all.
pub async fn without_end(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    most: usize,
) -> Option<usize> {
    let (mut from, mut to) = tokio::io::split(stream);
    let mut sent = 0;
    let send = async {
        to.write_all(PREFACE).await?;
        to.write_all(&frame(SETTINGS, 0, &[])).await?;
        let mut kind = HEADERS;
        while sent < most {
            to.write_all(&frame(kind, 1, &field())).await?;
            to.flush().await?;
            sent += FRAME;
            kind = CONTINUATION;
        }
        std::future::pending::<io::Result<()>>().await
    };
    let closed = async {
        let mut bytes = [0; 1024];
        while from.read(&mut bytes).await? > 0 {}
        Ok(())
    };
    // A peer that closes its end may do so by a reset.
    let within = std::time::Duration::from_secs(30);
    let ended = tokio::time::timeout(within, async {
        tokio::select! {
            ended = send => ended,
            ended = closed => ended,
        }
    });
    ended.await.ok().map(|_: io::Result<()>| sent)
}

/// A frame with no flags, so that more of the header fields must follow.
fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, 0]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A field that fills a frame: a literal without an index (RFC 7541 §6.2.2).
fn field() -> Vec<u8> {
    // The length of the value is 127 and what three bytes of seven bits say (RFC 7541 §5.1).
    let value = FRAME - 7;
    let rest = value - 127;
    let mut bytes = vec![0, 1, b'x', 0x7f, 0x80 | (rest & 0x7f) as u8];
    bytes.extend([0x80 | ((rest >> 7) & 0x7f) as u8, (rest >> 14) as u8]);
    bytes.resize(FRAME, b'a');
    bytes
}
