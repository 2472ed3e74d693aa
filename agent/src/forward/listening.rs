//! A listener's session: tells the frontdoor of each connection, and keeps it until it is taken.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::select_all;
use podgate_proto::limits::MAX_INCOMING;
use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::frontdoor_message::Message as FromFrontdoor;
use podgate_proto::v1::{FrontdoorMessage, Incoming, TcpAddress};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;

use super::listener::Listener;
use super::socket::Owned;
use super::waiting::OwnLine;
use crate::metrics::Metrics;
use crate::session::{self, End, Outbound, cut_short, last_words, tell};

/// A connection, and its place among those that wait.
struct Accepted {
    socket: Owned,
    peer: Option<SocketAddr>,
    place: OwnedSemaphorePermit,
}

/// Serves a listener until its frontdoor, its container or this agent ends it.
pub(super) async fn serve(
    (listeners, line): (&[Listener], &OwnLine),
    gone: impl Future<Output = String>,
    inbound: impl Stream<Item = session::Message> + Unpin,
    outbound: &Outbound,
    (stopped, metrics): (&CancellationToken, &Metrics),
) -> End {
    let places = Arc::new(Semaphore::new(MAX_INCOMING));
    let (give, accepted) = mpsc::channel(1);
    let all = listeners
        .iter()
        .map(|listener| Box::pin(accept(listener, &places, give.clone())));
    tokio::select! {
        biased;
        end = cut_short(gone, outbound, stopped) => end,
        end = pass_on(accepted, line, inbound, outbound, metrics) => end,
        // One that ends takes the others with it: a port that answers in one family alone is half dead.
        _ = select_all(all) => {
            let text = "the socket in the container does not listen any more";
            last_words(outbound, Reason::Listen, text).await;
            End::Broken(None)
        }
    }
}

/// Takes connections for as long as the listener gives any.
async fn accept(listener: &Listener, places: &Arc<Semaphore>, give: mpsc::Sender<Accepted>) {
    while let Ok(place) = Arc::clone(places).acquire_owned().await {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let accepted = Accepted {
                    socket,
                    peer,
                    place,
                };
                if give.send(accepted).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a listener in a container is closed");
                return;
            }
        }
    }
}

async fn pass_on(
    mut accepted: mpsc::Receiver<Accepted>,
    line: &OwnLine,
    mut inbound: impl Stream<Item = session::Message> + Unpin,
    outbound: &Outbound,
    metrics: &Metrics,
) -> End {
    let count = |outcome: &'static str, count| {
        metrics.accepts.get_or_create(&outcome.into()).inc_by(count);
    };
    loop {
        let (expired, next) = line.expire(Instant::now());
        count("expired", expired);
        let mut expiry = pin!(async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        });
        tokio::select! {
            message = inbound.next() => match message {
                Some(Ok(FrontdoorMessage { message: Some(FromFrontdoor::Decline(one)) })) => {
                    count("declined", u64::from(line.decline(one.connection)));
                }
                Some(Ok(_)) => {
                    let text = "the frontdoor sent a listener what it has no use for";
                    tracing::warn!("{text}");
                    last_words(outbound, Reason::Protocol, text).await;
                    return End::Violated;
                }
                Some(Err(_)) | None => return End::Abandoned,
            },
            Some(Accepted { socket, peer, place }) = accepted.recv() => {
                let originator = peer.map(|peer| TcpAddress {
                    host: peer.ip().to_canonical().to_string(),
                    port: peer.port().into(),
                });
                let connection = line.put(socket, place);
                let incoming = Incoming { connection, originator };
                if tell(outbound, ToFrontdoor::Incoming(incoming)).await.is_err() {
                    return End::Abandoned;
                }
            }
            () = &mut expiry => {}
        }
    }
}
