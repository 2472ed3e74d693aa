//! Serves connections: bounded in number, size and time. A stranger's ends soon, and gives way to others.

use std::sync::Arc;
use std::time::Duration;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use axum::{Extension, Router, extract::DefaultBodyLimit};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use podgate_process::connection_slots::{ConnectionSlot, ConnectionSlots};
use podgate_process::https::{self, Certificate, Peer};
use podgate_process::shutdown::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::parts::Parts;
use super::time::{Bound, Time, Until};
use super::{assets, enter, failure, headers, list, recording};
use crate::config::LONGEST_VISIT;

/// Bytes of a body at most. The longest token fits.
const MAX_BODY: usize = 20 * 1024;
/// Bytes that are read of a request at once, which bounds its head.
const MAX_HEAD: usize = 24 * 1024;
/// Header fields of a request. Browsers send about twenty.
const MAX_FIELDS: usize = 64;
/// How long a request's head may take, after the one before it.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long any connection may last: a session is followed for as long as the visit. A stranger's lasts as
/// the configuration says, and without a stream a visitor's ends sooner, too.
const WITHIN: Duration = LONGEST_VISIT;

/// Serves until `draining`, lets requests that are under way end, and ends them at `stopped`.
pub(crate) async fn serve(
    (listener, slots): (TcpListener, Arc<ConnectionSlots>),
    certificate: Certificate,
    parts: Parts,
    shutdown: Shutdown,
) {
    let router = router(parts);
    let certificate = Arc::new(certificate);
    let tls = move || {
        let certificate = Arc::clone(&certificate);
        async move { Some(certificate.current().await) }
    };
    let draining = shutdown.draining.clone();
    let within = slots.within();
    let speak = move |stream, peer: Peer| {
        let (time, until) = Time::new(within);
        let slot = Arc::clone(&peer.slot);
        let router = router.layer(Extension(peer)).layer(Extension(time));
        async move { speak(stream, router, (&slot, until), &draining).await }
    };
    let tasks = TaskTracker::new();
    https::serve(listener, (slots, WITHIN), tls, speak, tasks, shutdown).await;
}

/// Speaks HTTP over a connection until its time is over.
async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    (slot, mut until): (&ConnectionSlot, watch::Receiver<Until>),
    draining: &CancellationToken,
) -> Result<(), hyper::Error> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let mut told = false;
    loop {
        let Until { at, bound } = *until.borrow_and_update();
        tokio::select! {
            done = &mut connection => return done,
            () = draining.cancelled(), if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep_until(at) => {
                match bound {
                    Bound::Stranger => slot.late(),
                    Bound::Visit => {}
                    Bound::Piece => slot.ended_by("piece"),
                }
                return Ok(());
            }
            Ok(()) = until.changed() => {}
        }
    }
}

fn router(parts: Parts) -> Router {
    // What changes something must come from the page itself.
    let own = || from_fn_with_state(parts.clone(), headers::same_origin);
    let link = get(enter::look).merge(post(enter::redeem).route_layer(own()));
    Router::new()
        .route("/", get(list::page))
        .route("/recordings/{id}", get(recording::page))
        .route("/recordings/{id}/events", get(recording::events))
        .route("/recordings/{id}/live", get(recording::live))
        .route("/recordings/{id}/cast", get(recording::export))
        .route("/link/{secret}", link)
        .route("/enter", post(enter::token).route_layer(own()))
        .route("/leave", post(enter::leave).route_layer(own()))
        .route("/static/{version}/{file}", get(assets::file))
        .fallback(failure::nothing)
        .with_state(parts)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(headers::strict))
}

#[cfg(test)]
mod tests;
