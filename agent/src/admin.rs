//! What the cluster asks of the agent: `/livez`, `/readyz`, `/metrics`. Plain HTTP on its own
//! address; it says nothing of any session.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use podgate_proto::enrolment::Enrolment;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

#[derive(Clone)]
struct Admin {
    metrics: Arc<Metrics>,
    enrolment: Arc<Enrolment>,
    draining: CancellationToken,
}

/// Serves until `stopped`; ready with a certificate, until `draining`.
pub(crate) async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    enrolment: Arc<Enrolment>,
    draining: CancellationToken,
    stopped: CancellationToken,
) {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(Admin {
            metrics,
            enrolment,
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
    match (admin.draining.is_cancelled(), admin.enrolment.waits()) {
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
    match admin.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
