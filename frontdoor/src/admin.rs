//! What the cluster asks of the frontdoor: `/livez`, `/readyz`, `/metrics`. Plain HTTP on its own
//! address; it says nothing of any session.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

#[derive(Clone)]
struct Admin {
    metrics: Arc<Metrics>,
    filled: Vec<CancellationToken>,
    draining: CancellationToken,
}

/// Serves until `stopped`; ready from when all of `filled` are cancelled until `draining`, whatever
/// becomes of the API server in between.
pub(crate) async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    filled: Vec<CancellationToken>,
    draining: CancellationToken,
    stopped: CancellationToken,
) {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(Admin {
            metrics,
            filled,
            draining,
        });
    tokio::select! {
        () = stopped.cancelled() => {}
        result = async { axum::serve(listener, router).await } => {
            if let Err(error) = result {
                tracing::error!(%error, "the admin address is not served any more");
            }
        }
    }
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.draining.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if !admin.filled.iter().all(CancellationToken::is_cancelled) {
        let why = "the cluster is not known yet\n";
        (StatusCode::SERVICE_UNAVAILABLE, why)
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn render(State(admin): State<Admin>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match admin.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
