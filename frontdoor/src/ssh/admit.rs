//! Whether a new connection may begin. A refused one gets a line that says why, without a key exchange.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};

use podgate_identity::addresses::Addresses;

use crate::metrics::Metrics;
use crate::quotas::{Full, PreAuthSlot, Quotas};

/// The limit that ends a connection which does not log in in time: its key in the configuration.
pub(super) const GRACE: &str = "loginGraceSeconds";

/// How many pieces are read and thrown away after the last line.
const UNREAD: usize = 16;

/// A connection that may begin.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) slot: PreAuthSlot,
    /// Whether it comes from a proxy, which has to name the client first.
    pub(super) proxied: bool,
}

/// Admits a connection or refuses it. Never waits.
pub(crate) fn admit(
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    proxies: Option<&Addresses>,
    quotas: &Quotas,
    metrics: &Metrics,
) -> Option<Accepted> {
    let stream = match stream.into_std() {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(%error, "a connection cannot be used");
            return None;
        }
    };
    let proxied = proxies.is_some_and(|proxies| proxies.fit(peer.ip()));
    let slot = if proxied {
        quotas.proxied(peer.ip())
    } else {
        quotas.pre_auth(peer.ip())
    };
    match slot {
        Ok(slot) => Some(Accepted {
            stream,
            peer,
            slot,
            proxied,
        }),
        Err(full) => {
            refuse(stream, peer, full, metrics);
            None
        }
    }
}

/// Tells the client which limit is reached. A server may send lines before its identification (RFC 4253
/// §4.2), and sshd does so when it has too many connections.
pub(super) fn refuse(stream: std::net::TcpStream, peer: SocketAddr, full: Full, metrics: &Metrics) {
    tracing::info!(%peer, limit = full.limit(), "refused");
    metrics.refused(full.limit());
    tell(&stream, &format!("podgate: {full}"));
}

/// Sends the last line. The stream does not block, and a new one has room for a line.
pub(super) fn tell(mut stream: &std::net::TcpStream, words: &str) {
    let _ = stream.write(format!("{words}\r\n").as_bytes());
    let _ = stream.shutdown(Shutdown::Write);
    // If bytes were left unread, closing would reset the connection, and the line might be lost.
    for _ in 0..UNREAD {
        if !matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
            break;
        }
    }
}
