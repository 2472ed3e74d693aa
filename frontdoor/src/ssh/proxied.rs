//! A connection through a proxy, which names the client in a PROXY header. Only then is the client
//! admitted by its address. The header has to come within the login's grace time, and not a byte more
//! than the header is read.

use std::io;
use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::admit::{self, GRACE};
use super::context::Context;
use super::grace::Grace;
use super::proxy_protocol::{self, Ends, Step};
use super::socket::acknowledge;
use crate::quotas::PreAuthSlot;

/// Its key in the configuration.
const KEY: &str = "proxyProtocol";

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Header(#[from] proxy_protocol::Error),
    #[error("it ended within its PROXY header: {0}")]
    Ended(#[from] io::Error),
}

/// Admits the client whose connection the proxy passes on, or refuses it. `ends` are the addresses of
/// the proxy and of this frontdoor. Returns the address of the client and the one that it connected to.
pub(super) async fn client(
    mut stream: TcpStream,
    ends: (SocketAddr, SocketAddr),
    context: &Context,
    grace: &Grace,
) -> Option<(TcpStream, (SocketAddr, SocketAddr), PreAuthSlot)> {
    let (proxy, _) = ends;
    let header = tokio::select! {
        header = header(&mut stream) => header,
        () = grace.over() => {
            tracing::info!(peer = %proxy, limit = GRACE, "refused");
            context.metrics.refused(GRACE);
            return None;
        }
        () = context.draining.cancelled() => return None,
    };
    let (client, server) = match header {
        Ok(named) => named.map_or(ends, |named| (named.client, named.server)),
        // The proxy may merely check this frontdoor's health.
        Err(Error::Ended(reason)) => {
            tracing::debug!(peer = %proxy, %reason, "no client");
            return None;
        }
        Err(Error::Header(reason)) => {
            tracing::info!(peer = %proxy, limit = KEY, %reason, "refused");
            context.metrics.refused(KEY);
            return None;
        }
    };
    tracing::debug!(%client, %proxy, "through a proxy");
    match context.quotas.pre_auth(client.ip()) {
        Ok(slot) => Some((stream, (client, server), slot)),
        Err(full) => {
            if let Ok(stream) = stream.into_std() {
                admit::refuse(stream, client, full, &context.metrics);
            }
            None
        }
    }
}

/// The client's addresses; `None` if the connection is the proxy's own.
async fn header(stream: &mut TcpStream) -> Result<Option<Ends>, Error> {
    let mut header = Vec::new();
    loop {
        match proxy_protocol::read(&header)? {
            Step::Whole(client) => return Ok(client),
            Step::More(more) => {
                let read = header.len();
                header.resize(read + more, 0);
                let missing = header.get_mut(read..).unwrap_or_default();
                stream.read_exact(missing).await?;
                // A proxy may hold the client's own bytes until then.
                acknowledge(&*stream);
            }
        }
    }
}
