//! The first look at a connection: whether it may begin. One that may not costs a line, and neither a
//! key exchange nor anybody's time.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};

use podgate_identity::addresses::Addresses;

use crate::metrics::Metrics;
use crate::places::{Full, Places, Start};

/// A connection that may begin.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) start: Start,
    /// Whether a proxy is to say first whose connection it is.
    pub(super) proxied: bool,
}

/// Takes a connection in, or refuses it. Never waits.
pub(crate) fn admit(
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    proxies: Option<&Addresses>,
    places: &Places,
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
    let place = if proxied {
        places.unnamed(peer.ip())
    } else {
        places.start(peer.ip())
    };
    match place {
        Ok(start) => Some(Accepted {
            stream,
            peer,
            start,
            proxied,
        }),
        Err(full) => {
            refuse(stream, peer, full, metrics);
            None
        }
    }
}

/// A server may send lines before its identification (RFC 4253 §4.2); sshd does so, too, when it has
/// too many. The stream does not block, and a new one has room for a line.
pub(super) fn refuse(
    mut stream: std::net::TcpStream,
    peer: SocketAddr,
    full: Full,
    metrics: &Metrics,
) {
    tracing::info!(%peer, limit = full.limit(), "refused");
    metrics.refused(full.limit());
    let _ = stream.write(format!("podgate: {full}\r\n").as_bytes());
    // Closed with bytes unread, TCP would reset the connection, and the line might be lost.
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read(&mut [0; 256]);
}
