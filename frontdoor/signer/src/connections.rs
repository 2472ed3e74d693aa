//! Connections to the signer: TLS, and one short exchange each. Peers need not authenticate, so
//! connections are bounded in number and in time before anything is read from them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use podgate_process::listener::accept;
use podgate_process::shutdown::Shutdown;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;

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
    #[error("took too long")]
    Timeout,
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
}

/// The limits of one listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at a time. More wait in the backlog.
    pub(crate) connections: usize,
    /// How long a connection may last, its handshake included.
    pub(crate) time: Duration,
}

/// Serves until `draining`, with the TLS settings of each moment. Open connections then end by
/// themselves, or are ended at `stopped`. Every task is in `tasks`.
pub(crate) async fn serve<C, F>(
    listener: TcpListener,
    limits: Limits,
    tls: impl Fn() -> C,
    speak: impl FnOnce(TlsStream<TcpStream>, SocketAddr) -> F + Clone + Send + 'static,
    tasks: TaskTracker,
    shutdown: Shutdown,
) where
    C: Future<Output = Option<Arc<ServerConfig>>> + Send,
    F: Future<Output = Result<(), hyper::Error>> + Send,
{
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, accept(&listener).await)
        };
        let (place, (stream, peer)) = tokio::select! {
            () = shutdown.draining.cancelled() => break,
            accepted = accept => accepted,
        };
        let (tls, speak, stopped) = (tls().await, speak.clone(), shutdown.stopped.clone());
        tasks.spawn(async move {
            let connection = async move {
                let tls = TlsAcceptor::from(tls.ok_or(Error::NoCertificate)?);
                let stream = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await;
                let stream = stream.map_err(|_| Error::Timeout)??;
                Ok(speak(stream, peer).await?)
            };
            let served = tokio::select! {
                served = timeout(limits.time, connection) => served,
                () = stopped.cancelled() => return,
            };
            if let Err(error) = served.unwrap_or(Err(Error::Timeout)) {
                tracing::debug!(%peer, %error, "a connection");
            }
            drop(place);
        });
    }
    // From here on a new peer is refused at once, and can go to another signer.
    drop(listener);
    tasks.close();
    tasks.wait().await;
}
