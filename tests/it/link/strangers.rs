//! What an agent grants peers that have not said yet who they are or what they ask for: few places,
//! with which they cannot keep others out.

use std::time::Duration;

use podgate_proto::v1::agent_client::AgentClient;
use podgate_proto::v1::agent_message::Message as FromAgent;
use podgate_proto::v1::frontdoor_message::Message as ToAgent;
use podgate_proto::v1::{FrontdoorMessage, Open};
use podgate_tests::fixtures::stand::{Changes, NODE_IP, Stand};
use podgate_tests::instruments::dial::from;
use podgate_tests::instruments::eventually::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::Channel;

use super::peers::{answer, connect, handshake, request};

const SOON: Duration = Duration::from_secs(20);
/// What a frontdoor has at an agent: two for each of 16 threads, as the default is.
const CONNECTIONS: usize = 32;

async fn stand(agent: &str) -> Stand {
    let changes = Changes {
        agent: agent.to_owned(),
        ..Changes::default()
    };
    Stand::embedded(changes).await.unwrap()
}

async fn frontdoor(stand: &Stand) -> Channel {
    let channel = connect(stand, &stand.pki, &["frontdoor.podgate"]).await;
    channel.unwrap()
}

/// A stream whose first message is sent later, or never.
fn silent() -> (
    mpsc::Sender<FrontdoorMessage>,
    ReceiverStream<FrontdoorMessage>,
) {
    let (sender, messages) = mpsc::channel(1);
    (sender, ReceiverStream::new(messages))
}

/// A stream with a request for a session.
async fn asking(
    open: Open,
) -> (
    mpsc::Sender<FrontdoorMessage>,
    ReceiverStream<FrontdoorMessage>,
) {
    let (sender, messages) = silent();
    let message = Some(ToAgent::Open(open.into()));
    sender.send(FrontdoorMessage { message }).await.unwrap();
    (sender, messages)
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_never_end_keep_no_frontdoor_out() {
    let stand = stand("handshakes: {total: 8, perAddress: 4}\n").await;
    let address = format!("127.0.0.1:{}", stand.agent.port());
    let mut strangers = Vec::new();
    for n in 0..40 {
        let stranger = format!("127.0.1.{}", n % 4);
        strangers.push(from(&stranger, &address).await.unwrap());
    }
    // A frontdoor from a new address gets in once they have been silent for a while.
    let enter = || async {
        let ran = stand.client.run(&[], "demo", "echo works").await.ok()?;
        (ran.stdout == b"works\n").then_some(())
    };
    eventually("a session", SOON, enter).await.unwrap();
    let (_, metrics) = stand.agent.admin("/metrics").await.unwrap();
    let name = "podgate_agent_refused_connections_total{listener=\"link\",limit=\"total\"}";
    assert!(metrics.contains(name), "{metrics}");
    // From now on its address goes first.
    for n in 0..40 {
        let stranger = format!("127.0.2.{}", n % 8);
        strangers.push(from(&stranger, &address).await.unwrap());
    }
    frontdoor(&stand).await;
    drop(strangers);
}

/// All threads of a frontdoor dial an agent that has started again, and may be slow.
#[tokio::test(flavor = "multi_thread")]
async fn a_frontdoor_gets_in_with_all_its_connections_at_once() {
    let stand = stand("").await;
    let address = format!("{NODE_IP}:{}", stand.agent.port());
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(from("127.0.1.1", &address).await.unwrap());
    }
    let names = ["frontdoor.podgate"];
    // The last one first: the others are still to come by then.
    while let Some(tcp) = connections.pop() {
        let left = connections.len();
        let shaken = handshake(&stand, &stand.pki, &names, tcp).await;
        shaken.unwrap_or_else(|error| panic!("{error}, with {left} left"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_ask_for_nothing_have_few_places() {
    let stand = stand("openings: 2\n").await;
    let channel = frontdoor(&stand).await;
    let mut client = AgentClient::new(channel.clone());
    let (first, stream) = silent();
    let mut answers = client.session(stream).await.unwrap().into_inner();
    let (second, stream) = silent();
    let more = client.session(stream).await.unwrap();
    let (_third, stream) = silent();
    let refused = client.session(stream).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    // A request that has said what it asks for frees its place.
    let message = Some(ToAgent::Open(request().into()));
    first.send(FrontdoorMessage { message }).await.unwrap();
    let end = async { while answers.message().await.unwrap().is_some() {} };
    timeout(SOON, end).await.unwrap();
    let (_fourth, stream) = asking(request()).await;
    let mut session = client.session(stream).await.unwrap().into_inner();
    let exited = async {
        while let Some(answer) = session.message().await.unwrap() {
            if let Some(FromAgent::Exited(exited)) = answer.message {
                return exited.status;
            }
        }
        panic!("no status");
    };
    assert_eq!(timeout(SOON, exited).await.unwrap(), 3);
    let counted = "podgate_agent_refused_connections_total{listener=\"link\",limit=\"openings\"} 1";
    stand.agent.counts(SOON, &[counted]).await.unwrap();
    drop((second, more));
}

#[tokio::test(flavor = "multi_thread")]
async fn frontdoors_have_so_many_connections_and_no_more() {
    let stand = stand("links: {total: 3, perAddress: 2}\n").await;
    let first = frontdoor(&stand).await;
    let second = frontdoor(&stand).await;
    let runs = async |channel: &Channel| {
        let last = answer(channel, ToAgent::Open(request().into())).await.pop();
        assert!(matches!(last, Some(FromAgent::Exited(exited)) if exited.status == 3));
    };
    runs(&first).await;
    runs(&second).await;
    // A third finds no place, and the others are not disturbed.
    let third = connect(&stand, &stand.pki, &["frontdoor.podgate"]).await;
    if let Ok(channel) = third {
        let stream = tokio_stream::empty();
        AgentClient::new(channel).session(stream).await.unwrap_err();
    }
    let counted = [
        "podgate_agent_refused_connections_total{listener=\"frontdoors\",limit=\"perAddress\"} 1",
        "podgate_agent_refused_peers_total{outcome=\"full\"} 1",
    ];
    stand.agent.counts(SOON, &counted).await.unwrap();
    runs(&first).await;
    runs(&second).await;
    // The place of a connection that has ended is free.
    drop(first);
    let works = async || {
        let channel = connect(&stand, &stand.pki, &["frontdoor.podgate"]).await;
        let (_sender, messages) = silent();
        let session = AgentClient::new(channel.ok()?).session(messages).await;
        session.ok().map(drop)
    };
    eventually("a connection", SOON, works).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_the_admin_address_keep_no_probe_out() {
    let stand = stand("").await;
    let admin = stand.agent.admin_address();
    // A request that is too long, or has too many fields, is refused.
    for fields in [
        format!("X: {}\r\n", "x".repeat(9000)),
        "X: y\r\n".repeat(40),
    ] {
        let mut stream = from("127.0.0.1", admin).await.unwrap();
        let request = format!("GET /metrics HTTP/1.1\r\nHost: admin\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A reset may take the end of the answer with it.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{fields}");
    }
    let mut silent = Vec::new();
    for n in 0..128 {
        let stranger = format!("127.0.1.{}", n % 8);
        silent.push(from(&stranger, admin).await.unwrap());
    }
    let probe = async || (stand.agent.admin("/livez").await.ok()?.0 == 200).then_some(());
    eventually("a probe", SOON, probe).await.unwrap();
    let full = async || {
        let (_, metrics) = stand.agent.admin("/metrics").await.ok()?;
        let name = "refused_connections_total{listener=\"admin\",limit=\"total\"}";
        metrics.contains(name).then_some(())
    };
    eventually("a full admin address", SOON, full)
        .await
        .unwrap();
    // Nobody holds a connection for longer than a request may take.
    for stream in &mut silent {
        let mut byte = [0];
        let read = stream.read(&mut byte);
        let ended = timeout(SOON, read).await.expect("it stays");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
}
