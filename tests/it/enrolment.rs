//! Agents and frontdoors get their certificates from the signer, by their pods' tokens: who gets
//! which, how they are renewed, and what holds while the signer is away or its CA is replaced.

mod files;
mod hosts;
mod refused;
mod rotation;
mod shared;
mod strangers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use podgate_proto::v1::enrolment_client::EnrolmentClient;
use podgate_proto::v1::{EnrolRequest, EnrolResponse};
use podgate_tests::fixtures::gateway::Part;
use podgate_tests::fixtures::stand::enrolled::{self, Config, bearer, token};
use podgate_tests::fixtures::stand::{Changes, NODE, Stand};
use podgate_tests::instruments::echo::Echo;
use podgate_tests::instruments::eventually::eventually;
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Status;
use tonic::transport::Endpoint;

/// A certificate and its key.
type Own = (CertificateDer<'static>, PrivateKeyDer<'static>);
type Tls = TlsStream<TcpStream>;

const SOON: Duration = Duration::from_secs(30);

async fn stand(signer: Config) -> Stand {
    let changes = Changes {
        enrolled: Some(signer),
        // One core, so that there is one connection to the agent.
        frontdoor: "workers: 1\n".to_owned(),
        ..Changes::default()
    };
    Stand::embedded(changes).await.unwrap()
}

async fn works(stand: &Stand) -> bool {
    let output = stand.client.run(&[], "demo", "echo works").await.unwrap();
    output.stdout == b"works\n"
}

async fn echo(stand: &Stand) -> Echo {
    let mut ssh = stand.client.ssh(&[], "demo");
    ssh.arg("cat");
    Echo::start(ssh).await.unwrap()
}

/// A connection by TLS to a server of this name, trusted by the bundle, as a part makes one.
async fn dial(address: (&str, u16), name: &str, bundle: &Path, own: Option<Own>) -> Tls {
    try_dial(address, name, bundle, own).await.unwrap()
}

/// The same, unless the server closes the connection.
async fn try_dial(
    address: (&str, u16),
    name: &str,
    bundle: &Path,
    own: Option<Own>,
) -> std::io::Result<Tls> {
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_file_iter(bundle).unwrap() {
        roots.add(ca.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut tls = match own {
        None => tls.with_no_client_auth(),
        Some((certificate, key)) => tls.with_client_auth_cert(vec![certificate], key).unwrap(),
    };
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(tls));
    connector.connect(name, tcp).await
}

/// Calls the signer with this token, as a part does.
pub(crate) async fn call(
    port: u16,
    bundle: &Path,
    request: EnrolRequest,
) -> Result<EnrolResponse, Status> {
    let stream = try_dial(("127.0.0.1", port), "signer.podgate", bundle, None).await;
    let stream = stream.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream = stream.take();
        async move { stream.ok_or_else(|| std::io::Error::other("one connection")) }
    });
    let channel = Endpoint::from_static("http://signer")
        .connect_with_connector(connector)
        .await
        .unwrap();
    let answer = EnrolmentClient::new(channel).enrol(request).await;
    answer.map(tonic::Response::into_inner)
}

/// A count of a part's metrics.
async fn count(part: &Part, name: &str) -> u64 {
    let (_, metrics) = part.admin("/metrics").await.unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

/// Waits until a part has been enrolled once more.
async fn renewed(part: &Part, name: &str) {
    let name = format!("{name}_enrolments_total{{outcome=\"enrolled\"}}");
    let before = count(part, &name).await;
    let more = || async { (count(part, &name).await > before).then_some(()) };
    eventually("a renewal", SOON, more).await.unwrap();
}

pub(crate) async fn ready(part: &Part, expect: u16) {
    let look = || async { (part.admin("/readyz").await.ok()?.0 == expect).then_some(()) };
    eventually("readyz", SOON, look).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_run_and_no_secret_is_told() {
    let stand = stand(Config::default()).await;
    let signer = stand.signer.as_ref().unwrap();
    assert!(works(&stand).await);
    for part in [&stand.frontdoor, &stand.agent, signer] {
        ready(part, 200).await;
        let log = part.log().join("\n");
        assert!(log.contains("\"enrolled\""), "{log}");
        for secret in [&*bearer("agent"), &*bearer("frontdoor"), "-----BEGIN"] {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
    }
    let known = ["podgate_signer_enrolments_total{outcome=\"enrolled\"} 2"];
    signer.counts(SOON, &known).await.unwrap();
    let expiry = count(
        &stand.agent,
        "podgate_agent_certificate_expiry_timestamp_seconds",
    );
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let left = expiry.await.saturating_sub(now.as_secs());
    assert!((3000..=3600).contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_nodes_agent_is_not_spoken_to() {
    let mut stand = stand(Config::default()).await;
    assert!(works(&stand).await);
    // By its token the agent's pod is now on another node; the frontdoor dials it for this one.
    let account = bearer("agent");
    stand.api.add_token(&account, token("agent", "node-b"));
    stand.agent.signal(Signal::KILL).unwrap();
    stand.agent.ended().await.unwrap();
    stand.restart_agent().await.unwrap();
    ready(&stand.agent, 200).await;
    let output = stand.client.run(&[], "demo", "true").await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let words = format!("the agent on node {NODE} is not trusted");
    assert!(text.contains(&words), "{text}");
    assert_eq!(output.status.code(), Some(255));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_through_renewals() {
    let config = Config {
        lifetime: 9,
        ..Config::default()
    };
    let stand = stand(config).await;
    let mut session = echo(&stand).await;
    for _ in 0..2 {
        let agent = renewed(&stand.agent, "podgate_agent");
        let frontdoor = renewed(&stand.frontdoor, "podgate_frontdoor");
        tokio::join!(agent, frontdoor);
        session.again().await.unwrap();
        assert!(works(&stand).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signer_may_be_away_until_certificates_expire() {
    let config = Config {
        lifetime: 6,
        ..Config::default()
    };
    let mut stand = stand(config).await;
    let mut session = echo(&stand).await;
    let mut signer = stand.signer.take().unwrap();
    let port = signer.port();
    signer.signal(Signal::KILL).unwrap();
    signer.ended().await.unwrap();
    // The next certificate is asked for in vain, while the last one still serves.
    for part in [&stand.frontdoor, &stand.agent] {
        let tried = |line: &serde_json::Value| {
            let message = line["message"].as_str().unwrap_or_default();
            message == "the signer gave no new certificate; the last one still serves"
        };
        part.wait_log(SOON, tried).await.unwrap();
    }
    ready(&stand.frontdoor, 503).await;
    ready(&stand.agent, 503).await;
    session.again().await.unwrap();
    let output = stand.client.run(&[], "demo", "true").await.unwrap();
    assert_eq!(output.status.code(), Some(255));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("certificate has expired"), "{text}");

    let _signer = enrolled::signer(stand.dir(), port, config).await.unwrap();
    ready(&stand.frontdoor, 200).await;
    ready(&stand.agent, 200).await;
    assert!(works(&stand).await);
    session.again().await.unwrap();
}
