//! Where parts call: TLS by the signer's own certificate, one short connection a call.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use podgate_proto::limits::MAX_ENROL_REQUEST;
use podgate_proto::v1::enrolment_server::EnrolmentServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Enrol;

/// Connections at once; more wait in the backlog.
const CONNECTIONS: usize = 256;
/// For a peer's TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// For all of a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);

/// What a connection may fail at.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no CA yet")]
    NoCa,
    #[error("no TLS: {0}")]
    Handshake(#[from] io::Error),
    #[error("took too long")]
    Timeout,
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
}

/// Serves until `draining`, lets the connections that stand end, and ends them at `stopped`.
pub(in crate::signer) async fn serve(
    listener: TcpListener,
    service: Enrol,
    draining: CancellationToken,
    stopped: CancellationToken,
) {
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = draining.cancelled() => break,
            accepted = accept => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most likely out of descriptors: others must end first.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (service, stopped) = (service.clone(), stopped.clone());
        let calls = Calls {
            tasks: connections.clone(),
            stopped: stopped.clone(),
        };
        connections.spawn(async move {
            let served = tokio::select! {
                served = timeout(CONNECTION_TIMEOUT, connection(stream, service, calls)) => served,
                () = stopped.cancelled() => return,
            };
            if let Err(error) = served.unwrap_or(Err(Error::Timeout)) {
                tracing::debug!(%error, "a connection for enrolment");
            }
            drop(place);
        });
    }
    connections.close();
    connections.wait().await;
}

/// Where a connection's calls run.
#[derive(Clone)]
struct Calls {
    tasks: TaskTracker,
    stopped: CancellationToken,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Calls {
    fn execute(&self, call: F) {
        let stopped = self.stopped.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                _ = timeout(CONNECTION_TIMEOUT, call) => {}
                () = stopped.cancelled() => {}
            }
        });
    }
}

async fn connection(tcp: TcpStream, service: Enrol, calls: Calls) -> Result<(), Error> {
    let issuing = service.0.ca.issuing().ok_or(Error::NoCa)?;
    let accept = TlsAcceptor::from(Arc::clone(&issuing.tls)).accept(tcp);
    let stream = timeout(HANDSHAKE_TIMEOUT, accept)
        .await
        .map_err(|_| Error::Timeout)??;
    let service = EnrolmentServer::new(service).max_decoding_message_size(MAX_ENROL_REQUEST);
    http2::Builder::new(calls)
        .max_concurrent_streams(1)
        .max_header_list_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await?;
    Ok(())
}
