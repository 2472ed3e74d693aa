//! Connections over TLS whose peers need not authenticate: each has a slot and a time before anything is
//! read from it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;

use crate::connection_slots::{ConnectionSlot, ConnectionSlots, Ended};
use crate::listener::accept;
use crate::shutdown::Shutdown;

/// The limit for a TLS handshake. It is shorter than for a whole connection, because a peer that only
/// connects keeps others out.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no certificate yet")]
    NoCertificate,
    #[error("no TLS: {0}")]
    Handshake(#[from] io::Error),
    #[error("no TLS handshake within {HANDSHAKE_TIMEOUT:?}")]
    Timeout,
    #[error(transparent)]
    Ended(#[from] Ended),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The connection's slot. It is settled once the request is there.
    pub slot: Arc<ConnectionSlot>,
}

/// Serves until `draining`, with the TLS settings of each moment. A connection lasts for `within` at
/// most, its handshake included. Open connections end by themselves after `draining`, or are ended at
/// `stopped`. Every task is in `tasks`.
pub async fn serve<C, F>(
    listener: TcpListener,
    (slots, within): (Arc<ConnectionSlots>, Duration),
    tls: impl Fn() -> C,
    speak: impl FnOnce(TlsStream<TcpStream>, Peer) -> F + Clone + Send + 'static,
    tasks: TaskTracker,
    shutdown: Shutdown,
) where
    C: Future<Output = Option<Arc<ServerConfig>>> + Send,
    F: Future<Output = Result<(), hyper::Error>> + Send,
{
    let draining = &shutdown.draining;
    while let Some((stream, address)) = draining.run_until_cancelled(accept(&listener)).await {
        let Ok(slot) = slots.take(address.ip()) else {
            continue;
        };
        let slot = Arc::new(slot);
        let peer = Peer {
            address,
            slot: Arc::clone(&slot),
        };
        let (tls, speak, stopped) = (tls().await, speak.clone(), shutdown.stopped.clone());
        tasks.spawn(async move {
            let connection = async move {
                let tls = TlsAcceptor::from(tls.ok_or(Error::NoCertificate)?);
                let stream = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await;
                let stream = stream.map_err(|_| Error::Timeout)??;
                speak(stream, peer).await.map_err(Error::from)
            };
            let served = slot.hold(within, connection);
            let Some(served) = stopped.run_until_cancelled(served).await else {
                return;
            };
            if let Err(error) = served.unwrap_or_else(|ended| Err(ended.into())) {
                match &error {
                    Error::Timeout => slot.ended_by("handshake"),
                    Error::Http(error) => slot.ended_with(error),
                    _ => {}
                }
                tracing::debug!(peer = %address, %error, "a connection");
            }
        });
    }
    // From here on a new peer is refused at once, and can go to another signer.
    drop(listener);
    tasks.close();
    tasks.wait().await;
}
