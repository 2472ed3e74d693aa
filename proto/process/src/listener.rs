//! Listening and accepting. A connection that cannot be accepted does not end accepting.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The pause after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// A program cannot listen on an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
#[allow(missing_docs, reason = "the message says it")]
pub struct Error {
    pub address: SocketAddr,
    pub source: io::Error,
}

/// Listens on an address; port 0 is any free one.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|source| Error { address, source })
}

/// The address for the log, with the port that stands for port 0.
pub fn address(listener: &TcpListener) -> String {
    let address = listener.local_addr();
    address.map_or_else(|error| error.to_string(), |address| address.to_string())
}

/// The next connection. Cancel safe: no connection is lost.
pub async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                // Most likely the process has no descriptor left: other connections must end first.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Gives each connection to `take` until `draining`, and then closes the listener: a client that comes
/// later is refused at once, and can find another.
pub async fn accept_until(
    listener: TcpListener,
    draining: &CancellationToken,
    mut take: impl AsyncFnMut(TcpStream, SocketAddr),
) {
    while let Some((stream, peer)) = draining.run_until_cancelled(accept(&listener)).await {
        take(stream, peer).await;
    }
}
