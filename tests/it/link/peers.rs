//! Peers for the link, made by the tests: a client in place of a frontdoor, and a server in place of
//! the stand's agent.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use podgate_proto::limits::{self, LINK_VERSIONS, RELEASE};
use podgate_proto::v1::agent_client::AgentClient;
use podgate_proto::v1::agent_message::Message as FromAgent;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::frontdoor_message::Message as ToAgent;
use podgate_proto::v1::{
    Action, Container, Exec, Failed, FrontdoorMessage, Grant, Identity, Open, Pod, Versions,
    WorkingDirectory, exec, open,
};
use podgate_tests::fixtures::pki::Pki;
use podgate_tests::fixtures::stand::{NODE, NODE_IP, Stand};
use rustix::process::Signal;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint, Server};

/// 32 hex digits, for any id.
pub(super) const ID: &str = "0123456789abcdef0123456789abcdef";
/// The number of the next request, in the place of a random id.
static SESSION: AtomicU32 = AtomicU32::new(0);

/// Connects to the stand's agent with a certificate for these names.
pub(super) async fn connect(
    stand: &Stand,
    issuer: &Pki,
    names: &[&str],
) -> Result<Channel, String> {
    connect_with_window(stand, issuer, names, limits::STREAM_WINDOW).await
}

/// The same with a window of so many bytes for each stream.
pub(super) async fn connect_with_window(
    stand: &Stand,
    issuer: &Pki,
    names: &[&str],
    window: u32,
) -> Result<Channel, String> {
    let stream = dial(stand, issuer, names).await;
    let mut stream = Some(TokioIo::new(stream));
    Endpoint::from_static("http://agent")
        .initial_stream_window_size(window)
        .connect_with_connector(tower::service_fn(move |_| {
            let stream = stream
                .take()
                .ok_or_else(|| std::io::Error::other("one connection"));
            async move { stream }
        }))
        .await
        .map_err(|error| error.to_string())
}

/// A connection to the stand's agent without HTTP/2, with a certificate for these names.
pub(super) async fn dial(stand: &Stand, issuer: &Pki, names: &[&str]) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect((NODE_IP, stand.agent.port()));
    let shaken = handshake(stand, issuer, names, tcp.await.unwrap()).await;
    shaken.unwrap()
}

/// The same on a connection that there is already.
pub(super) async fn handshake(
    stand: &Stand,
    issuer: &Pki,
    names: &[&str],
    tcp: TcpStream,
) -> std::io::Result<TlsStream<TcpStream>> {
    let issued = issuer.issue(names).unwrap();
    let mut tls = stand.pki.client_config(Some(&issued)).unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(format!("{NODE}.agent.podgate")).unwrap();
    TlsConnector::from(Arc::new(tls)).connect(name, tcp).await
}

pub(super) fn request() -> Open {
    let expires = std::time::SystemTime::now() + Duration::from_secs(60);
    Open {
        versions: Some(Versions {
            lowest: *LINK_VERSIONS.start(),
            highest: *LINK_VERSIONS.end(),
        }),
        release: RELEASE.into(),
        session_id: format!("{:032x}", SESSION.fetch_add(1, Ordering::Relaxed)),
        connection_id: ID.into(),
        grant: Some(Grant {
            identity: Some(Identity {
                user: "ada".into(),
                ..Identity::default()
            }),
            pod: Some(Pod {
                namespace: "default".into(),
                name: "demo".into(),
                uid: "demo-uid".into(),
                node: NODE.into(),
                host_network: false,
            }),
            container: Some(Container {
                name: "main".into(),
                id: "containerd://demo".into(),
            }),
            action: Action::Exec.into(),
            expires_at: expires
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap()
                .as_secs() as i64,
            files: None,
        }),
        action: Some(open::Action::Exec(Exec {
            program: Some(exec::Program::Command("exit 3".into())),
            ..Exec::default()
        })),
        working_directory: WorkingDirectory::Image.into(),
    }
}

/// Serves in the place of the stand's agent, at its address and by its name, until the test ends.
pub(super) async fn replace_agent<S>(stand: &mut Stand, service: S)
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let address = (NODE_IP, stand.agent.port());
    stand.agent.signal(Signal::KILL).unwrap();
    stand.agent.ended().await.unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let issued = stand
        .pki
        .issue(&[&format!("{NODE}.agent.podgate")])
        .unwrap();
    let mut tls = stand.pki.server_config(&issued).unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let tls = TlsAcceptor::from(Arc::new(tls));
    let (accepted, connections) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let stream = tls.accept(tcp).await;
            if accepted.send(stream).await.is_err() {
                return;
            }
        }
    });
    let server = Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(ReceiverStream::new(connections)));
}

/// The messages that an agent sends in answer to a first message.
pub(super) async fn answer(channel: &Channel, first: ToAgent) -> Vec<FromAgent> {
    let (sender, messages) = mpsc::channel(1);
    sender
        .send(FrontdoorMessage {
            message: Some(first),
        })
        .await
        .unwrap();
    let stream = ReceiverStream::new(messages);
    let mut answers = AgentClient::new(channel.clone())
        .session(stream)
        .await
        .unwrap()
        .into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        all.extend(answer.message);
    }
    all
}

/// Why an agent refuses a session.
pub(super) async fn refusal(channel: &Channel, open: Open) -> (Reason, String) {
    match answer(channel, ToAgent::Open(open.into())).await.as_slice() {
        [FromAgent::Failed(failed @ Failed { message, .. })] => (failed.reason(), message.clone()),
        other => panic!("{other:?}"),
    }
}
