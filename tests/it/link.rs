//! The link between frontdoor and agent: who may connect, and peers of another version.

use std::time::Duration;

use hyper_util::rt::TokioIo;
use podgate_proto::limits::PROTOCOL_VERSION;
use podgate_proto::v1::agent_client::AgentClient;
use podgate_proto::v1::agent_message::Message as FromAgent;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::frontdoor_message::Message as ToAgent;
use podgate_proto::v1::{
    Action, Container, Exec, Failed, Forward, FrontdoorMessage, Grant, Identity, Open, Pod, exec,
    open,
};
use podgate_tests::fixtures::pki::Pki;
use podgate_tests::fixtures::stand::{Changes, NODE, NODE_IP, Stand};
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

const SOON: Duration = Duration::from_secs(5);
const SESSION: &str = "0123456789abcdef0123456789abcdef";

/// Connects to the stand's agent as whoever these names are for.
async fn connect(stand: &Stand, issuer: &Pki, names: &[&str]) -> Result<Channel, String> {
    let issued = issuer.issue(names).unwrap();
    let mut tls = stand.pki.client_config(Some(&issued)).unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect((NODE_IP, stand.agent.port()))
        .await
        .unwrap();
    let name = ServerName::try_from(format!("{NODE}.agent.podgate")).unwrap();
    let stream = TlsConnector::from(Arc::new(tls))
        .connect(name, tcp)
        .await
        .unwrap();
    let mut stream = Some(TokioIo::new(stream));
    Endpoint::from_static("http://agent")
        .connect_with_connector(tower::service_fn(move |_| {
            let stream = stream
                .take()
                .ok_or_else(|| std::io::Error::other("one connection"));
            async move { stream }
        }))
        .await
        .map_err(|error| error.to_string())
}

fn request() -> Open {
    let expires = std::time::SystemTime::now() + Duration::from_secs(60);
    Open {
        protocol_version: PROTOCOL_VERSION,
        session_id: SESSION.into(),
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
        }),
        action: Some(open::Action::Exec(Exec {
            program: Some(exec::Program::Command("exit 3".into())),
            ..Exec::default()
        })),
    }
}

/// The messages that an agent answers to a first message.
async fn answer(channel: &Channel, first: ToAgent) -> Vec<FromAgent> {
    let (sender, messages) = tokio::sync::mpsc::channel(1);
    sender
        .send(FrontdoorMessage {
            message: Some(first),
        })
        .await
        .unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(messages);
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

async fn refusal(channel: &Channel, open: Open) -> (Reason, String) {
    match answer(channel, ToAgent::Open(open)).await.as_slice() {
        [FromAgent::Failed(failed @ Failed { message, .. })] => (failed.reason(), message.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_frontdoor_by_name_is_served() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let channel = connect(&stand, &stand.pki, &["frontdoor.podgate"])
        .await
        .unwrap();
    let answers = answer(&channel, ToAgent::Open(request())).await;
    assert!(matches!(answers.last(), Some(FromAgent::Exited(exited)) if exited.status == 3));

    let other = Pki::new().unwrap();
    for (issuer, name) in [
        (&stand.pki, "node-b.agent.podgate"),
        (&stand.pki, "x.frontdoor.podgate"),
        (&stand.pki, "*.podgate"),
        (&other, "frontdoor.podgate"),
    ] {
        if let Ok(channel) = connect(&stand, issuer, &[name]).await {
            let stream = tokio_stream::empty();
            AgentClient::new(channel).session(stream).await.unwrap_err();
        }
    }
    let refused = [
        "podgate_agent_refused_peers_total{outcome=\"peer\"} 3",
        "podgate_agent_refused_peers_total{outcome=\"handshake\"} 1",
    ];
    stand.agent.counts(SOON, &refused).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_fit_is_refused_with_the_reason() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let channel = connect(&stand, &stand.pki, &["frontdoor.podgate"])
        .await
        .unwrap();
    let check = async |change: fn(&mut Open), reason: Reason, words: &str| {
        let mut open = request();
        change(&mut open);
        let (given, message) = refusal(&channel, open).await;
        assert_eq!(given, reason, "{message}");
        assert!(message.contains(words), "{message}");
    };
    check(
        |o| o.protocol_version += 1,
        Reason::Protocol,
        "run the same release on both",
    )
    .await;
    check(
        |o| o.protocol_version = 0,
        Reason::Protocol,
        "run the same release on both",
    )
    .await;
    check(
        |o| o.session_id = "x; rm".into(),
        Reason::Protocol,
        "32 hex digits",
    )
    .await;
    check(|o| o.action = None, Reason::Protocol, "no action").await;
    check(|o| o.grant = None, Reason::Grant, "no grant").await;
    check(
        |o| o.grant.as_mut().unwrap().expires_at = 1,
        Reason::Grant,
        "expired",
    )
    .await;
    check(
        |o| o.grant.as_mut().unwrap().pod.as_mut().unwrap().node = "node-b".into(),
        Reason::Grant,
        "for node \"node-b\"",
    )
    .await;
    check(
        |o| o.action = Some(open::Action::Forward(Forward::default())),
        Reason::Grant,
        "another action",
    )
    .await;
    check(
        |o| {
            o.action = Some(open::Action::Forward(Forward::default()));
            o.grant.as_mut().unwrap().action = Action::Forward.into();
        },
        Reason::Unsupported,
        "serves only shells and commands",
    )
    .await;
    check(
        |o| o.grant.as_mut().unwrap().pod.as_mut().unwrap().uid = "other".into(),
        Reason::PodChanged,
        "replaced by another",
    )
    .await;

    let first = ToAgent::Input("too early".into());
    let answers = answer(&channel, first).await;
    assert!(matches!(answers.as_slice(), [FromAgent::Failed(f)] if f.reason() == Reason::Protocol));
    assert_eq!(
        stand.kubelet.total_execs(),
        1,
        "only the one for another pod got that far"
    );
    assert_eq!(stand.embedded.as_ref().unwrap().running().len(), 0);
}
