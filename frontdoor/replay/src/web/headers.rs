//! Headers: those that every answer has, and those that a request must have to change something.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use podgate_process::https::Peer;

use super::failure::Failure;
use super::parts::Parts;
use super::time::Time;
use crate::entry::Visitor;

/// What a page may load and do: nothing but this program's own files. The player is a WebAssembly module in
/// its script, which needs the word for it.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
                      img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// Headers of every answer.
const STRICT: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=()",
    ),
];

/// The request of a visitor: its connection gives way to no other any more.
pub(super) fn known(_: &Visitor, peer: &Peer, time: &Time) {
    peer.slot.settle();
    peer.slot.trust();
    time.visit();
}

/// Adds the headers of every answer.
pub(super) async fn strict(request: Request, next: Next) -> Response {
    if let Some(peer) = request.extensions().get::<Peer>() {
        peer.slot.heard();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in STRICT {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What is shown is for this visitor, now.
    let cache = headers.entry(header::CACHE_CONTROL);
    cache.or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets a request through that the page itself has made. Browsers say where a request comes from; another
/// site cannot change that.
pub(super) async fn same_origin(
    State(parts): State<Parts>,
    request: Request,
    next: Next,
) -> Response {
    let own = is_own(request.headers(), &parts.url);
    match own {
        true => next.run(request).await,
        false => Failure::Elsewhere.into_response(),
    }
}

fn is_own(headers: &HeaderMap, url: &str) -> bool {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    match text(HeaderName::from_static("sec-fetch-site")) {
        Some(site) => site == "same-origin",
        None => text(header::ORIGIN) == Some(url),
    }
}
