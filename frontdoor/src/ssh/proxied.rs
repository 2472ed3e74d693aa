//! A connection through a proxy, which says first whose it is. What admits a client by its address waits
//! for that, no longer than for a login, and reads no more than the header.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::admit;
use super::connection::{GRACE, Worker};
use super::proxy_protocol::{self, Step};
use crate::quotas::Start;

/// Its key in the configuration.
const KEY: &str = "proxyProtocol";

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Header(#[from] proxy_protocol::Error),
    #[error("it ended within its PROXY header: {0}")]
    Ended(#[from] io::Error),
}

/// Admits the client whose connection a proxy passes on, or refuses it.
pub(super) async fn client(
    mut stream: TcpStream,
    proxy: SocketAddr,
    worker: &Worker,
    grace: Pin<&mut Sleep>,
) -> Option<(TcpStream, SocketAddr, Start)> {
    let header = tokio::select! {
        header = header(&mut stream) => header,
        () = grace => {
            tracing::info!(peer = %proxy, limit = GRACE, "refused");
            worker.metrics.refused(GRACE);
            return None;
        }
        () = worker.draining.cancelled() => return None,
    };
    let client = match header {
        Ok(client) => client.unwrap_or(proxy),
        // As a check of this frontdoor's health is.
        Err(Error::Ended(reason)) => {
            tracing::debug!(peer = %proxy, %reason, "no client");
            return None;
        }
        Err(Error::Header(reason)) => {
            tracing::info!(peer = %proxy, limit = KEY, %reason, "refused");
            worker.metrics.refused(KEY);
            return None;
        }
    };
    tracing::debug!(%client, %proxy, "through a proxy");
    match worker.places.start(client.ip()) {
        Ok(start) => Some((stream, client, start)),
        Err(full) => {
            if let Ok(stream) = stream.into_std() {
                admit::refuse(stream, client, full, &worker.metrics);
            }
            None
        }
    }
}

/// The client's address; none, if the connection is the proxy's own.
async fn header(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Error> {
    let mut header = Vec::new();
    loop {
        match proxy_protocol::read(&header)? {
            Step::Whole(client) => return Ok(client),
            Step::More(more) => {
                let read = header.len();
                header.resize(read + more, 0);
                let missing = header.get_mut(read..).unwrap_or_default();
                stream.read_exact(missing).await?;
            }
        }
    }
}
