//! Agents and frontdoors are enrolled whatever happens at the desk's port.

use std::path::Path;
use std::sync::Arc;

use podgate_proto::v1::EnrolRequest;
use podgate_tests::fixtures::pki::Pki;
use podgate_tests::fixtures::stand::enrolled::{AUDIENCE, token};
use podgate_tests::instruments::dial::from;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::stand_ins::apiserver::ApiServer;
use podgate_tests::stand_ins::cluster::Cluster;
use podgate_tests::stand_ins::issuer::unsigned;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Desk, SOON, authority, claims, issue};
use crate::enrolment::{call, ready};

/// The desk's connections, in total and of one address, exchanges and TokenReviews at a time.
const CONNECTIONS: usize = 512;
const ADDRESS: usize = 128;
const EXCHANGES: usize = 64;
const REVIEWS: usize = 32;

/// A connection to the desk, as curl makes one.
async fn dial(address: &str, pki: &Pki) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = from("127.0.0.2", address).await?;
    let tls = TlsConnector::from(Arc::new(pki.client_config(None).unwrap()));
    tls.connect(ServerName::try_from("127.0.0.1").unwrap(), tcp)
        .await
}

/// Sends a whole request with a token of nobody. The API server has to be asked about it.
async fn ask(desk: &mut TlsStream<TcpStream>, key: &str) {
    let bearer = unsigned(&claims(json!("podgate")));
    let length = key.len();
    let request = format!(
        "POST /v1/certificate HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer {bearer}\r\n\
         Content-Length: {length}\r\n\r\n{key}"
    );
    desk.write_all(request.as_bytes()).await.unwrap();
    desk.flush().await.unwrap();
}

/// The niceness of a process's thread of this name (proc(5), /proc/pid/stat).
fn niceness(pid: u32, thread: &str) -> Option<String> {
    let tasks = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"));
    tasks.unwrap().find_map(|task| {
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
        let (name, fields) = stat.rsplit_once(") ").unwrap();
        let nice = fields.split(' ').nth(16).map(str::to_owned);
        nice.filter(|_| name.ends_with(&format!("({thread}")))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_that_is_full_keeps_nobody_from_enrolment() {
    let pki = Pki::new().unwrap();
    let api = ApiServer::start(Cluster::new(), &pki).await.unwrap();
    let lines = "  refusedPerMinuteAndAddress: 100\n  connections: {perSecondAndAddress: 60}\n";
    let desk = Desk::start(authority().await, &api, &pki, lines).await;
    ready(&desk.signer, 200).await;
    let bundle = desk.path("bundle");
    std::fs::create_dir(&bundle).unwrap();
    api.mount("configmaps", "podgate", "podgate-ca", &bundle);
    let bearer = unsigned(&json!({"aud": [AUDIENCE], "sub": "agent"}));
    api.add_token(&bearer, token("podgate-agent", "node-a"));
    let request = EnrolRequest {
        protocol_version: 1,
        token: bearer,
        public_key: [&[4][..], &[7; 64]].concat().into(),
        ..EnrolRequest::default()
    };

    // Requests that wait for the API server.
    api.hold_reviews(Some("podgate"));
    let address = desk.url.trim_start_matches("https://").to_owned();
    let key = std::fs::read_to_string(desk.path("id.pub")).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..EXCHANGES {
        let mut one = dial(&address, &pki).await.unwrap();
        ask(&mut one, &key).await;
        waiting.push(one);
    }
    api.wait_requests("create", "tokenreviews", REVIEWS)
        .await
        .unwrap();
    // Peers that say nothing, in all the other places and more.
    let mut silent = Vec::new();
    for n in 0..CONNECTIONS {
        let stranger = format!("127.0.1.{}", n / ADDRESS);
        silent.push(from(&stranger, &address).await.unwrap());
    }
    let full = || async {
        let (_, metrics) = desk.signer.admin("/metrics").await.ok()?;
        let full = "refused_connections_total{listener=\"desk\",limit=\"total\"}";
        metrics.contains(full).then_some(())
    };
    eventually("a full desk", SOON, full).await.unwrap();
    let ca = bundle.join("ca.crt");
    let enrolled = call(desk.signer.port(), &ca, request).await.unwrap();
    assert!(!enrolled.certificate.is_empty());
    assert_eq!(api.requests("create", "tokenreviews"), REVIEWS + 1);
    let nice = niceness(desk.signer.pid().unwrap(), "desk");
    assert_eq!(nice.as_deref(), Some("10"));

    // A client that sends a request gets in, although the silent ones are still there.
    drop(waiting);
    api.hold_reviews(None);
    let (good, key) = (issue(&api, "dev", "me"), desk.path("id.pub"));
    let issued = || async { (desk.ask(Some(&good), &key).await.0 == 200).then_some(()) };
    eventually("a certificate", SOON, issued).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_an_end_is_cut_short() {
    let pki = Pki::new().unwrap();
    let api = ApiServer::start(Cluster::new(), &pki).await.unwrap();
    let desk = Desk::start(authority().await, &api, &pki, "").await;
    let address = desk.url.trim_start_matches("https://").to_owned();
    let mut tls = dial(&address, &pki).await.unwrap();
    let head = "POST /v1/certificate HTTP/1.1\r\nHost: desk\r\nX: ";
    endless(&mut tls, head).await;
    let mut admin = from("127.0.0.1", desk.signer.admin_address())
        .await
        .unwrap();
    endless(&mut admin, "GET /metrics HTTP/1.1\r\nHost: admin\r\nX: ").await;
    // More header fields than any client sends are refused, too.
    let mut admin = from("127.0.0.1", desk.signer.admin_address())
        .await
        .unwrap();
    let fields = "X: y\r\n".repeat(100);
    let request = format!("GET /metrics HTTP/1.1\r\nHost: admin\r\n{fields}\r\n");
    admin.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    admin.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let counted = |listener: &str, times| {
        let labels = format!("listener=\"{listener}\",limit=\"head\"");
        format!("podgate_signer_refused_connections_total{{{labels}}} {times}")
    };
    let counted = [counted("desk", 1), counted("admin", 2)];
    let counted = counted.each_ref().map(String::as_str);
    desk.signer.counts(SOON, &counted).await.unwrap();
}

/// Waits until the server ends a connection.
async fn until_ended(mut stream: impl AsyncRead + Unpin) {
    // A cut one is an error.
    let _ = timeout(SOON, stream.read_to_end(&mut Vec::new()))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_ended_and_counted() {
    let pki = Pki::new().unwrap();
    let api = ApiServer::start(Cluster::new(), &pki).await.unwrap();
    let lines = "  connections: {seconds: 2}\n";
    let desk = Desk::start(authority().await, &api, &pki, lines).await;
    let address = desk.url.trim_start_matches("https://").to_owned();
    let tls = dial(&address, &pki).await.unwrap();
    let admin = from("127.0.0.1", desk.signer.admin_address());
    tokio::join!(until_ended(tls), until_ended(admin.await.unwrap()));
    let counted = [
        r#"podgate_signer_refused_connections_total{listener="desk",limit="seconds"} 1"#,
        r#"podgate_signer_refused_connections_total{listener="admin",limit="head"} 1"#,
    ];
    desk.signer.counts(SOON, &counted).await.unwrap();
}

/// Sends a head that does not end. The answer soon says that it is too long.
async fn endless(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), head: &str) {
    let head = format!("{head}{}", "x".repeat(64 * 1024));
    // The peer may have closed before it has read everything.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.flush().await;
    let mut answer = Vec::new();
    let heard = timeout(SOON, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    // A reset takes the answer with it.
    let told = answer.starts_with(b"HTTP/1.1 431 ");
    assert!(
        told || heard.is_err(),
        "{:?}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_the_admin_address_keep_no_probe_out() {
    let pki = Pki::new().unwrap();
    let api = ApiServer::start(Cluster::new(), &pki).await.unwrap();
    let desk = Desk::start(authority().await, &api, &pki, "").await;
    let admin = desk.signer.admin_address();
    let mut silent = Vec::new();
    for n in 0..128 {
        let stranger = format!("127.0.1.{}", n % 8);
        silent.push(from(&stranger, admin).await.unwrap());
    }
    let probe = || async { (desk.signer.admin("/livez").await.ok()?.0 == 200).then_some(()) };
    eventually("a probe", SOON, probe).await.unwrap();
    let full = || async {
        let (_, metrics) = desk.signer.admin("/metrics").await.ok()?;
        let full = "refused_connections_total{listener=\"admin\",limit=\"total\"}";
        metrics.contains(full).then_some(())
    };
    eventually("a full admin address", SOON, full)
        .await
        .unwrap();
    drop(silent);
}
