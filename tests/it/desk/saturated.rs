//! Agents and frontdoors are enrolled whatever happens at the desk's port.

use std::path::Path;
use std::sync::Arc;

use podgate_proto::v1::EnrolRequest;
use podgate_tests::fixtures::pki::Pki;
use podgate_tests::fixtures::stand::enrolled::{AUDIENCE, token};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::stand_ins::apiserver::ApiServer;
use podgate_tests::stand_ins::cluster::Cluster;
use podgate_tests::stand_ins::issuer::unsigned;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Desk, SOON, authority, claims, issue};
use crate::enrolment::{call, ready};

/// The desk's connections, exchanges and TokenReviews at a time.
const CONNECTIONS: usize = 512;
const EXCHANGES: usize = 64;
const REVIEWS: usize = 32;

/// A connection to the desk, as curl makes one.
async fn dial(address: &str, pki: &Pki) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    let tls = TlsConnector::from(Arc::new(pki.client_config(None).unwrap()));
    tls.connect(ServerName::try_from("127.0.0.1").unwrap(), tcp)
        .await
}

/// Sends a whole request with a token of nobody's, which the API server has to be asked about.
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
    let desk = Desk::start(authority().await, &api, &pki, "").await;
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
    // Peers that say nothing: all the other places and more.
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS {
        silent.push(TcpStream::connect(&address).await.unwrap());
    }
    // They are accepted in turn, so that this one waits until that many have gone.
    let late = dial(&address, &pki);
    let ca = bundle.join("ca.crt");
    let enrolled = tokio::select! {
        _ = late => panic!("the desk is not full"),
        enrolled = call(desk.signer.port(), &ca, request) => enrolled.unwrap(),
    };
    assert!(!enrolled.certificate.is_empty());
    assert_eq!(api.requests("create", "tokenreviews"), REVIEWS + 1);
    let nice = niceness(desk.signer.pid().unwrap(), "desk");
    assert_eq!(nice.as_deref(), Some("10"));

    // The desk serves again once they have gone.
    drop((waiting, silent));
    api.hold_reviews(None);
    let (good, key) = (issue(&api, "dev", "me"), desk.path("id.pub"));
    let issued = || async { (desk.ask(Some(&good), &key).await.0 == 200).then_some(()) };
    eventually("a certificate", SOON, issued).await.unwrap();
}
