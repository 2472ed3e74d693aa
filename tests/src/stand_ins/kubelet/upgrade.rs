//! The upgrade to SPDY as the runtime's streaming server negotiates it, for the runtime that has no
//! server of its own.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use super::routes::{Answer, plain, sniffless};

/// The protocols of an exec. Only the first is spoken here.
pub(super) const EXEC: [&str; 4] = [
    "v4.channel.k8s.io",
    "v3.channel.k8s.io",
    "v2.channel.k8s.io",
    "channel.k8s.io",
];
/// The protocol of a port-forward.
pub(super) const PORT_FORWARD: [&str; 1] = ["portforward.k8s.io"];
const VERSION: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const ACCEPTED: HeaderName = HeaderName::from_static("x-accepted-stream-protocol-versions");

/// What the kubelet's own proxy asks for.
pub(super) fn connection_upgrades(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONNECTION).iter();
    values.any(|value| contains(value, "upgrade"))
}

fn contains(value: &HeaderValue, word: &str) -> bool {
    value
        .to_str()
        .is_ok_and(|value| value.to_ascii_lowercase().contains(word))
}

/// What the runtime's streaming server, which has these protocols, answers: 101, or why not. The first
/// protocol must be offered.
pub(super) fn negotiate(headers: &HeaderMap, protocols: &[&'static str]) -> Answer {
    let offered: Vec<&str> = headers
        .get_all(VERSION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    let bad_request = |text: &'static str| sniffless(plain(StatusCode::BAD_REQUEST, text));
    if offered.is_empty() {
        let text = "unable to upgrade: X-Stream-Protocol-Version is required\n";
        return bad_request(text);
    }
    let Some(spoken) = protocols.first().filter(|first| offered.contains(first)) else {
        let line = format!(
            "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]\n",
            offered.join(" "),
            protocols.join(" ")
        );
        // The server writes it twice: once in the handshake, once where that failed.
        let mut answer = sniffless(plain(StatusCode::FORBIDDEN, line.repeat(2)));
        for protocol in protocols {
            answer
                .headers_mut()
                .append(ACCEPTED, HeaderValue::from_static(protocol));
        }
        return answer;
    };
    if !headers
        .get_all(header::UPGRADE)
        .iter()
        .any(|value| contains(value, "spdy/3.1"))
    {
        let text = "unable to upgrade: missing upgrade headers in request\n";
        return bad_request(text);
    }
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    headers.insert(VERSION, HeaderValue::from_static(spoken));
    answer
}
