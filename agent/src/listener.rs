//! Where frontdoors connect: TLS both ways, and only a peer named `frontdoor.podgate` gets as far
//! as gRPC. Until then a connection has a slot, of which an address has few.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use podgate_process::connection_slots::{ConnectionSlot, ConnectionSlots, Ended, Full};
use podgate_process::link::LinkStream;
use podgate_process::mtls::{self, FRONTDOOR_NAME, Identity};
use podgate_proto::limits;
use podgate_proto::v1::agent_server::AgentServer;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;

use crate::metrics::Metrics;
use crate::service::Service;

/// Connections of frontdoors that wait for gRPC to take them.
const ADMITTED: usize = 64;

/// For connections to end once their sessions have: a peer that does not read what is left for it is not
/// waited for.
const CLOSE: Duration = Duration::from_secs(5);

/// A new connection, whose peer is not known yet.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) slot: ConnectionSlot,
}

/// Why a connection is refused.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no TLS: {0}")]
    Handshake(#[from] io::Error),
    #[error(transparent)]
    Peer(#[from] mtls::Error),
    #[error("TLS handshake: {0}")]
    Ended(#[from] Ended),
    #[error("of frontdoors: {0}")]
    Full(#[from] Full),
}

/// Serves one core's connections until there are no more and the last session is over.
pub(crate) async fn serve(
    mut accepted: mpsc::Receiver<Accepted>,
    service: Service,
    (identity, links): (Arc<Identity>, Arc<ConnectionSlots>),
    metrics: Arc<Metrics>,
    stopped: CancellationToken,
) {
    let (trusted, incoming) = mpsc::channel(ADMITTED);
    let handshakes = TaskTracker::new();
    let age = links.within();
    let accept = async {
        while let Some(Accepted { stream, peer, slot }) = accepted.recv().await {
            let (identity, metrics) = (Arc::clone(&identity), Arc::clone(&metrics));
            let (trusted, links) = (trusted.clone(), Arc::clone(&links));
            handshakes.spawn(async move {
                let shaken = slot.hold(slot.within(), handshake(stream, &identity));
                let shaken = shaken.await.unwrap_or_else(|ended| Err(ended.into()));
                match shaken.and_then(|stream| admit(stream, peer, &links)) {
                    Ok(stream) => {
                        slot.trust();
                        // The receiver goes only when the server does.
                        drop(trusted.send(Ok::<_, io::Error>(stream)).await);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "connection refused");
                        let outcome = match error {
                            Error::Handshake(_) => "handshake",
                            Error::Peer(_) => "peer",
                            Error::Ended(Ended::Late) => "timeout",
                            Error::Ended(Ended::GaveWay) => "gave_way",
                            Error::Full(_) => "full",
                        };
                        metrics.refused_peers.get_or_create(&outcome.into()).inc();
                    }
                }
            });
        }
        handshakes.close();
        handshakes.wait().await;
        drop(trusted);
    };
    // A stream beyond these is refused in any case.
    let streams = service.most_streams().min(limits::MAX_STREAMS);
    let service = AgentServer::new(service)
        .max_decoding_message_size(limits::MAX_MESSAGE)
        .max_encoding_message_size(limits::MAX_AGENT_MESSAGE);
    let server = Server::builder()
        .initial_stream_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .max_concurrent_streams(streams)
        .http2_max_pending_accept_reset_streams(Some(streams as usize))
        .http2_max_local_error_reset_streams(Some(limits::MAX_STREAMS as usize))
        .max_frame_size(limits::MAX_FRAME)
        .http2_keepalive_interval(Some(limits::KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_TIMEOUT))
        // Then the peer must connect again and show its certificate. Running sessions go on.
        .max_connection_age(age)
        .add_service(service)
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), stopped.cancelled());
    let served = async {
        let (result, ()) = tokio::join!(server, accept);
        if let Err(error) = result {
            tracing::error!(%error, "gRPC is not served any more");
        }
    };
    let late = async {
        stopped.cancelled().await;
        sleep(CLOSE).await;
    };
    tokio::select! {
        () = served => {}
        () = late => tracing::warn!("connections whose peers do not read are cut"),
    }
}

/// Gives a frontdoor's connection a slot for as long as it lasts. It gives way to no other.
fn admit(
    mut stream: TlsStream<LinkStream<TcpStream>>,
    peer: SocketAddr,
    links: &Arc<ConnectionSlots>,
) -> Result<TlsStream<LinkStream<TcpStream>>, Error> {
    let slot = links.take(peer.ip())?;
    slot.settle();
    stream.get_mut().0.keep(slot);
    Ok(stream)
}

async fn handshake(
    connection: std::net::TcpStream,
    identity: &Identity,
) -> Result<TlsStream<LinkStream<TcpStream>>, Error> {
    let tcp = LinkStream::new(TcpStream::from_std(connection)?)?;
    let mut stream = TlsAcceptor::from(identity.server().await?)
        .accept(tcp)
        .await?;
    let tls = stream.get_mut().1;
    mtls::check_peer(tls.peer_certificates(), FRONTDOOR_NAME)?;
    tls.set_buffer_limit(Some(limits::TLS_BUFFER));
    Ok(stream)
}
