//! From a request to its answer: access first, then the path, as the kubelet orders them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use rustls::ServerConfig;

use super::Front;
use crate::stand_ins::listener::{Peer, Service};

pub(super) type Answer = Response<Full<Bytes>>;

impl Service for Front {
    type Body = Full<Bytes>;

    fn tls(&self) -> Arc<ServerConfig> {
        let shown = self.certificates.shown(self.faults.certificate());
        Arc::clone(&shown.tls)
    }

    async fn answer(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> Answer {
        let (path, method) = (request.uri().path(), request.method());
        let chain = &peer.certificates;
        if let Some((status, text)) = self.access.refusal(chain, method, path, request.headers()) {
            return plain(status, text);
        }
        let page = match path.split('/').nth(1) {
            Some("exec") if *method == Method::GET || *method == Method::POST => {
                return self.exec(peer, request).await;
            }
            Some("portForward") if *method == Method::POST => {
                return self.port_forward(peer, request).await;
            }
            Some("exec" | "portForward") => None,
            Some("healthz") => Some(sniffless(plain(StatusCode::OK, "ok"))),
            Some("pods") => Some(self.pods()),
            _ => return plain(StatusCode::NOT_FOUND, "404: Page Not Found"),
        };
        match page {
            Some(page) if *method == Method::GET => page,
            _ => plain(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed"),
        }
    }
}

impl Front {
    fn pods(&self) -> Answer {
        self.pods_requests.fetch_add(1, Ordering::SeqCst);
        if let Some((status, body)) = self.faults.pods() {
            return faulty(status, body);
        }
        let mut list = br#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":["#.to_vec();
        for (at, pod) in self.cluster.on_node(&self.node).iter().enumerate() {
            if at > 0 {
                list.push(b',');
            }
            pod.write_item(&mut list);
        }
        list.extend_from_slice(b"]}");
        let mut answer = Response::new(Full::from(list));
        let kind = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        answer
    }
}

/// An answer in plain text.
pub(super) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// The answer as Go's `http.Error` marks it.
pub(super) fn sniffless(mut answer: Answer) -> Answer {
    let name = HeaderName::from_static("x-content-type-options");
    answer
        .headers_mut()
        .insert(name, HeaderValue::from_static("nosniff"));
    answer
}

/// An answer that a test asked for.
pub(super) fn faulty(status: u16, body: String) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = plain(status, body);
    if status == StatusCode::TOO_MANY_REQUESTS {
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}
