//! The admin address: `/livez`, `/readyz` and `/metrics` over plain HTTP. It tells nothing about any
//! session.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::ready::Ready;

/// What the admin address tells.
#[derive(Clone)]
pub struct Admin {
    /// The metrics, in the OpenMetrics text format.
    pub metrics: Arc<dyn Fn() -> Result<String, std::fmt::Error> + Send + Sync>,
    /// What the program still waits for.
    pub ready: Ready,
    /// Cancelled once the program drains.
    pub draining: CancellationToken,
}

/// Serves until `stopped`.
pub async fn serve(listener: TcpListener, admin: Admin, stopped: CancellationToken) {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(admin);
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
