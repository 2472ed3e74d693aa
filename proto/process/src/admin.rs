//! The admin address: `/livez`, `/readyz` and `/metrics` over plain HTTP. It tells nothing about any
//! session. Anybody may connect, so a request is bounded in size and time, and has a connection of its
//! own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bounds::Bounds;
use crate::connection_slots::ConnectionSlots;
use crate::listener::accept_until;
use crate::metrics::RefusedConnections;
use crate::ready::Ready;

/// The bounds of the admin address, unless the configuration has others. Few peers connect: the kubelet
/// and whatever collects metrics.
pub const BOUNDS: Bounds = Bounds {
    total: 64,
    per_address: 16,
    per_second_and_address: 100,
    seconds: 15,
};

/// The admin address of a program with a pod to itself, unless the configuration has another.
pub fn address() -> SocketAddr {
    ([127, 0, 0, 1], 9090).into()
}

/// Bytes of a request's head, at most.
const MAX_HEAD: usize = 8 * 1024;
/// Header fields of a request, at most.
const MAX_FIELDS: usize = 32;
/// How long a request's head may take.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// What the admin address tells.
#[derive(Clone)]
pub struct Admin {
    /// The metrics, in the OpenMetrics text format.
    pub metrics: Arc<dyn Fn() -> Result<String, std::fmt::Error> + Send + Sync>,
    /// What the program still waits for.
    pub ready: Ready,
    /// Cancelled once the program drains.
    pub draining: CancellationToken,
    /// How many connections it takes.
    pub bounds: Bounds,
    /// Counts the connections that find no slot.
    pub refused: RefusedConnections,
}

/// Serves until `stopped`.
pub async fn serve(listener: TcpListener, admin: Admin, stopped: CancellationToken) {
    let slots = ConnectionSlots::new("admin", admin.bounds, admin.refused.clone());
    let within = slots.within();
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(admin);
    let tasks = TaskTracker::new();
    let take = async |stream: TcpStream, peer: SocketAddr| {
        let Ok(slot) = slots.take(peer.ip()) else {
            return;
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_FIELDS)
            .keep_alive(false)
            .serve_connection(
                TokioIo::new(stream),
                TowerToHyperService::new(router.clone()),
            );
        let stopped = stopped.clone();
        tasks.spawn(async move {
            let served = slot.hold(within, connection);
            match stopped.run_until_cancelled(served).await {
                Some(Err(error)) => {
                    tracing::debug!(%peer, %error, "a connection to the admin address");
                }
                Some(Ok(Err(error))) => slot.ended_with(&error),
                Some(Ok(Ok(()))) | None => {}
            }
        });
    };
    accept_until(listener, &stopped, take).await;
    tasks.close();
    tasks.wait().await;
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    match (admin.draining.is_cancelled(), admin.ready.waits()) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()),
        (false, Some(what)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("waits for {what}\n"),
        ),
        (false, None) => (StatusCode::OK, "ok\n".to_owned()),
    }
}

async fn render(State(admin): State<Admin>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match (admin.metrics)() {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
