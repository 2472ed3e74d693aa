//! Whoever comes to the signer: TLS, and one short connection each. They need show nothing of who they
//! are, so they are bounded in number and in time before anything is read of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use podgate_process::listener::accept;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// For a peer's TLS handshake. Shorter than for all of it: who only connects takes a place from others.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a connection may fail at.
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

/// How many connections there are, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// At a time; more wait in the backlog.
    pub(super) connections: usize,
    /// For all of one, its handshake included.
    pub(super) time: Duration,
}

/// How serving ends.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    /// All that runs for connections.
    pub(super) tasks: TaskTracker,
    pub(super) draining: CancellationToken,
    pub(super) stopped: CancellationToken,
}

/// Serves by the TLS of the moment until `draining`, lets the connections that stand end, and ends them
/// at `stopped`.
pub(super) async fn serve<F>(
    listener: TcpListener,
    limits: Limits,
    tls: impl Fn() -> Option<Arc<ServerConfig>>,
    speak: impl FnOnce(TlsStream<TcpStream>, SocketAddr) -> F + Clone + Send + 'static,
    ends: Ends,
) where
    F: Future<Output = Result<(), hyper::Error>> + Send,
{
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, accept(&listener).await)
        };
        let (place, (stream, peer)) = tokio::select! {
            () = ends.draining.cancelled() => break,
            accepted = accept => accepted,
        };
        let (tls, speak, stopped) = (tls(), speak.clone(), ends.stopped.clone());
        ends.tasks.spawn(async move {
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
    // Who comes now is refused, and finds another signer, instead of waiting for nobody.
    drop(listener);
    ends.tasks.close();
    ends.tasks.wait().await;
}
