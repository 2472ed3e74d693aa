//! `POST /v1/certificate` and `GET /v1/host-ca` over HTTPS: one request a connection, each bounded in time
//! and size. Answers are lines of text.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use podgate_process::connection_slots::ConnectionSlots;
use podgate_process::https::{self, Certificate, Peer};
use podgate_process::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::exchange::{Exchange, Refusal};
use crate::hosts::Hosts;

/// Bytes of a body, at most: several times the longest public key.
const MAX_BODY: usize = 16 * 1024;
/// Bytes that are read of a request at once, which bounds its head. The longest token fits, and clients
/// send little else.
const MAX_HEAD: usize = 24 * 1024;
/// Header fields of a request. curl sends five.
const MAX_FIELDS: usize = 32;
/// How long a request's head may take, after the handshake.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// Serves until `draining`, lets requests that are under way end, and ends them at `stopped`.
pub(super) async fn serve(
    (listener, slots): (TcpListener, Arc<ConnectionSlots>),
    certificate: Certificate,
    (exchange, hosts): (Arc<Exchange>, Option<Arc<Hosts>>),
    shutdown: Shutdown,
) {
    let router = Router::new()
        .route("/v1/certificate", post(answer))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(exchange)
        .merge(
            Router::new()
                .route("/v1/host-ca", get(host_ca))
                .with_state(hosts),
        );
    let certificate = Arc::new(certificate);
    let tls = move || {
        let certificate = Arc::clone(&certificate);
        async move { Some(certificate.current().await) }
    };
    let speak = move |stream, peer: Peer| {
        let router = router.layer(Extension(peer));
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_FIELDS)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
    };
    let tasks = TaskTracker::new();
    let within = slots.within();
    let bounds = (slots, within);
    https::serve(listener, bounds, tls, speak, tasks, shutdown).await;
}

async fn answer(
    State(exchange): State<Arc<Exchange>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    peer.slot.settle();
    let body = match &body {
        Ok(body) => Ok(&**body),
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Refusal::LongBody),
        Err(_) => Err(Refusal::Body),
    };
    match exchange
        .certificate(bearer(&headers), body, peer.address)
        .await
    {
        Ok(line) => line.into_response(),
        Err(refusal) => refused(&refusal),
    }
}

/// The CA of the frontdoors' host certificates: its public keys, a line each. They are no secret.
async fn host_ca(
    State(hosts): State<Option<Arc<Hosts>>>,
    Extension(peer): Extension<Peer>,
) -> Response {
    peer.slot.settle();
    let Some(hosts) = hosts else {
        return (
            StatusCode::NOT_FOUND,
            "podgate: this signer certifies no hosts\n",
        )
            .into_response();
    };
    match hosts.lines() {
        Some(lines) => lines.to_string().into_response(),
        None => {
            let words = "podgate: there is no CA for hosts yet; try again in a moment\n";
            (StatusCode::SERVICE_UNAVAILABLE, words).into_response()
        }
    }
}

/// The one bearer token (RFC 6750 §2.1); the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(one), None) = (all.next(), all.next()) else {
        return None;
    };
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn refused(refusal: &Refusal) -> Response {
    let status = match (refusal, refusal.outcome()) {
        (Refusal::LongBody, _) => StatusCode::PAYLOAD_TOO_LARGE,
        (_, "key") => StatusCode::BAD_REQUEST,
        (_, "token") => StatusCode::UNAUTHORIZED,
        (_, "forbidden") => StatusCode::FORBIDDEN,
        (_, "limited") => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = (status, format!("podgate: {refusal}\n")).into_response();
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110 §15.5.2 wants it.
        let bearer = HeaderValue::from_static("Bearer");
        headers.insert(header::WWW_AUTHENTICATE, bearer);
    }
    if let Refusal::Spent(_, again) = refusal {
        headers.insert(header::RETRY_AFTER, again.as_secs().into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_one() {
        let check = |values: &[&'static str], expect: Option<&str>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(bearer(&headers), expect, "{values:?}");
        };
        check(&["Bearer a.b.c"], Some("a.b.c"));
        check(&["bearer  a.b.c "], Some("a.b.c"));
        check(&[], None);
        check(&["Bearer"], None);
        check(&["Bearer "], None);
        check(&["Basic YTpi"], None);
        check(&["Bearer a", "Bearer b"], None);
    }
}
