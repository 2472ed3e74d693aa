//! What a hostile peer can make the other end hold, wait for or write: no more than it was given credit
//! for, and for no longer than its session.

use std::convert::Infallible;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use podgate_proto::flow;
use podgate_proto::limits::{LINK_VERSIONS, MAX_CHUNK};
use podgate_proto::v1::agent_client::AgentClient;
use podgate_proto::v1::agent_message::Message as FromAgent;
use podgate_proto::v1::frontdoor_message::Message as ToAgent;
use podgate_proto::v1::{
    AgentMessage, Data, FrontdoorMessage, Open, Opened, TerminalSize, exec, open,
};
use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::eventually::eventually;
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic::{Request, Response, Status, Streaming};

use super::peers::{answer, connect, connect_with_window, refusal, replace_agent, request};

const SOON: Duration = Duration::from_secs(20);
/// A peer that can go on never takes this long.
const STALL: Duration = Duration::from_millis(700);
const MIB: usize = 1024 * 1024;
/// Messages of one byte that half of the window has room for.
const PADDED: usize = flow::MAX_WAITING / 2;

/// A message of either end, with a field that nobody knows.
#[derive(Clone, PartialEq, prost::Message)]
struct Padded {
    #[prost(message, optional, tag = "1")]
    first: Option<OpenOrOpened>,
    #[prost(message, optional, tag = "2")]
    data: Option<Data>,
    #[prost(bytes = "bytes", tag = "100")]
    padding: Bytes,
}

/// Field 1 of either end's messages, as it is encoded.
#[derive(Clone, PartialEq, prost::Message)]
struct OpenOrOpened {
    #[prost(uint32, tag = "1")]
    version: u32,
}

fn padded(offset: usize, padding: &Bytes) -> Padded {
    Padded {
        data: Some(Data {
            offset: offset as u64,
            bytes: Bytes::from_static(b"x"),
        }),
        padding: padding.clone(),
        ..Padded::default()
    }
}

/// An agent that sends as much as is taken, and then padded messages for the rest of its window.
#[derive(Clone)]
struct PaddingAgent;

impl NamedService for PaddingAgent {
    const NAME: &'static str = "podgate.v1.Agent";
}

impl Service<http::Request<Body>> for PaddingAgent {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let codec = tonic_prost::ProstCodec::<Padded, FrontdoorMessage>::default();
            Ok(tonic::server::Grpc::new(codec)
                .streaming(this, request)
                .await)
        })
    }
}

impl tonic::server::StreamingService<FrontdoorMessage> for PaddingAgent {
    type Response = Padded;
    type ResponseStream = ReceiverStream<Result<Padded, Status>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<FrontdoorMessage>>) -> Self::Future {
        let (sender, messages) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut inbound = request.into_inner();
            let credit = flow::Sender::new();
            let hear = async {
                while let Ok(Some(FrontdoorMessage { message })) = inbound.message().await {
                    if let Some(ToAgent::OutputCredit(given)) = message {
                        credit.credit(&given).unwrap();
                    }
                }
            };
            let send = async {
                let version = *LINK_VERSIONS.end();
                let opened = Padded {
                    first: Some(OpenOrOpened { version }),
                    ..Padded::default()
                };
                let _ = sender.send(Ok(opened)).await;
                // Reserved for later, so that half of the window is left once nobody takes any more.
                credit.reserve(flow::cost(0) as usize * PADDED).await;
                let mut offset = flow::Offset::default();
                let bytes = Bytes::from(vec![b'x'; MAX_CHUNK]);
                while timeout(STALL, credit.reserve(MAX_CHUNK)).await.is_ok() {
                    let data = Some(offset.number(bytes.clone()));
                    let message = Padded {
                        data,
                        ..Padded::default()
                    };
                    let _ = sender.send(Ok(message)).await;
                }
                // As much as a frontdoor takes in one message. The last message is more than the credit
                // allows.
                let padding = Bytes::from(vec![0; 60 * 1024]);
                for next in 0..=PADDED {
                    let message = padded(offset.get() as usize + next, &padding);
                    let _ = sender.send(Ok(message)).await;
                }
            };
            // The frontdoor ends the stream.
            tokio::join!(hear, send);
        });
        Box::pin(async move { Ok(Response::new(ReceiverStream::new(messages))) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn padding_costs_a_frontdoor_nothing() {
    let mut stand = Stand::embedded(Changes::default()).await.unwrap();
    replace_agent(&mut stand, PaddingAgent).await;
    let shared = stand.client.share("demo").await.unwrap();
    stand.frontdoor.reset_peak().unwrap();
    let before = stand.frontdoor.peak().unwrap();
    let mut ssh = stand.client.ssh(&[&shared.option], "demo");
    // Nobody reads its stdout.
    let client = ssh.arg("true").stdin(Stdio::null()).spawn().unwrap();
    let ended = "podgate_frontdoor_sessions_total{action=\"exec\",outcome=\"failed\"} 1";
    stand.frontdoor.counts(SOON, &[ended]).await.unwrap();
    let grown = (stand.frontdoor.peak().unwrap() - before) as usize;
    // If they were held, they would be 60 MiB.
    assert!(grown < 16 * MIB, "{grown} bytes");
    drop(client);
}

/// A request to run this.
pub(super) fn run(command: &str) -> Open {
    let mut open = request();
    if let Some(open::Action::Exec(exec)) = &mut open.action {
        exec.program = Some(exec::Program::Command(command.to_owned().into()));
    }
    open
}

#[tokio::test(flavor = "multi_thread")]
async fn padding_costs_an_agent_nothing() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let channel = connect(&stand, &stand.pki, &["frontdoor.podgate"]).await;
    let (sender, messages) = mpsc::channel(1);
    let codec = tonic_prost::ProstCodec::<Encoded, AgentMessage>::default();
    let mut grpc = tonic::client::Grpc::new(channel.unwrap());
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/podgate.v1.Agent/Session");
    let request = Request::new(ReceiverStream::new(messages));
    let say = async |message: &dyn Encode| sender.send(Encoded(message.encode())).await.unwrap();
    say(&told(ToAgent::Open(run("exec sleep 7200").into()))).await;
    let answers = grpc.streaming(request, path, codec).await;
    let mut answers = answers.unwrap().into_inner();
    let given = flow::Sender::new();
    let mut offset = flow::Offset::default();
    let send = async {
        // Reserved for later, so that half of the window is left once nobody takes any more.
        given.reserve(flow::cost(0) as usize * PADDED).await;
        let bytes = Bytes::from(vec![b'x'; MAX_CHUNK]);
        while timeout(STALL, given.reserve(MAX_CHUNK)).await.is_ok() {
            say(&told(ToAgent::Input(offset.number(bytes.clone())))).await;
        }
        stand.agent.reset_peak().unwrap();
        let before = stand.agent.peak().unwrap();
        let padding = Bytes::from(vec![0; 500 * 1024]);
        for next in 0..PADDED {
            say(&padded(offset.get() as usize + next, &padding)).await;
        }
        // One more than the credit allows. When the agent says so, it has taken all the others.
        say(&padded(offset.get() as usize + PADDED, &padding)).await;
        before
    };
    let hear = async {
        loop {
            match answers.message().await.unwrap().unwrap().message.unwrap() {
                FromAgent::InputCredit(credit) => given.credit(&credit).unwrap(),
                FromAgent::Failed(failed) => return failed,
                FromAgent::Opened(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let both = async { tokio::join!(send, hear) };
    let (before, failed) = timeout(SOON, both).await.expect("no answer");
    assert!(failed.message.contains("its credit allows"), "{failed:?}");
    let grown = (stand.agent.peak().unwrap() - before) as usize;
    // If they were held, they would be 500 MiB.
    assert!(grown < 16 * MIB, "{grown} bytes");
}

fn told(message: ToAgent) -> FrontdoorMessage {
    let message = Some(message);
    FrontdoorMessage { message }
}

/// Any message.
trait Encode {
    fn encode(&self) -> Vec<u8>;
}

impl<M: prost::Message> Encode for M {
    fn encode(&self) -> Vec<u8> {
        self.encode_to_vec()
    }
}

/// A message that is encoded already.
#[derive(Clone, Debug, Default, PartialEq)]
struct Encoded(Vec<u8>);

impl prost::Message for Encoded {
    fn encode_raw(&self, buffer: &mut impl bytes::BufMut) {
        buffer.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: prost::encoding::WireType,
        _: &mut impl bytes::Buf,
        _: prost::encoding::DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_that_a_program_does_not_take_hold_up_no_output() {
    const OUTPUT: usize = 4 * MIB;
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let channel = connect(&stand, &stand.pki, &["frontdoor.podgate"]).await;
    let go = stand.dir().join("go");
    // It reads nothing, writes once everything was sent to it, and stays.
    let wait = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    let command = format!("{wait}; head -c {OUTPUT} /dev/zero; exec sleep 7200");
    let (sender, messages) = mpsc::channel(4);
    let say = async |message| {
        // If it is refused, the answer says why.
        let _ = sender.send(told(message)).await;
    };
    say(ToAgent::Open(run(&command).into())).await;
    let mut client = AgentClient::new(channel.unwrap());
    let answers = client.session(ReceiverStream::new(messages)).await;
    let mut answers = answers.unwrap().into_inner();
    let (given, credit) = (flow::Sender::new(), flow::Receiver::new());
    let send = async {
        let mut offset = flow::Offset::default();
        let bytes = Bytes::from(vec![b'x'; MAX_CHUNK]);
        while timeout(STALL, given.reserve(MAX_CHUNK)).await.is_ok() {
            say(ToAgent::Input(offset.number(bytes.clone()))).await;
        }
        for rows in 0..4 * PADDED as u32 {
            say(ToAgent::Resize(TerminalSize { columns: 80, rows })).await;
        }
        std::fs::write(&go, "").unwrap();
        std::future::pending::<()>().await;
    };
    let hear = async {
        let mut output = 0;
        while let Some(AgentMessage { message }) = answers.message().await.unwrap() {
            match message.unwrap() {
                FromAgent::Output(data) => {
                    output += data.bytes.len();
                    credit.received(data.bytes.len()).unwrap();
                    if let Some(credit) = credit.passed_on(data.bytes.len()) {
                        say(ToAgent::OutputCredit(credit)).await;
                    }
                }
                FromAgent::InputCredit(credit) => given.credit(&credit).unwrap(),
                FromAgent::Opened(Opened { .. }) => {}
                other => panic!("{other:?}"),
            }
            if output == OUTPUT {
                return;
            }
        }
        panic!("the session ended after {output} bytes");
    };
    let all = async {
        tokio::select! {
            () = hear => {}
            () = send => {}
        }
    };
    timeout(SOON, all).await.expect("output stalls");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_stops_does_not_wait_for_a_peer_that_does_not_read() {
    let mut stand = Stand::embedded(Changes::default()).await.unwrap();
    // The window is 0: the agent's answers stay with the agent.
    let channel = connect_with_window(&stand, &stand.pki, &["frontdoor.podgate"], 0).await;
    let (sender, messages) = mpsc::channel(1);
    let message = Some(ToAgent::Open(
        Open {
            action: None,
            ..request()
        }
        .into(),
    ));
    sender.send(FrontdoorMessage { message }).await.unwrap();
    let mut client = AgentClient::new(channel.unwrap());
    let answers = client.session(ReceiverStream::new(messages)).await;
    let refused = |line: &serde_json::Value| line["message"] == "session refused";
    stand.agent.wait_log(SOON, refused).await.unwrap();
    stand.agent.signal(Signal::TERM).unwrap();
    let draining = |line: &serde_json::Value| line["message"] == "draining";
    stand.agent.wait_log(SOON, draining).await.unwrap();
    stand.agent.signal(Signal::TERM).unwrap();
    let ended = timeout(SOON, stand.agent.ended()).await;
    ended.expect("it waits").unwrap();
    drop(answers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_its_slot_for_as_long_as_its_end_is_unread() {
    let stand = Stand::embedded(Changes {
        agent: "sessions: 1\nsessionsPerUser: 1\n".to_owned(),
        ..Changes::default()
    });
    let stand = stand.await.unwrap();
    let names = ["frontdoor.podgate"];
    let deaf = connect_with_window(&stand, &stand.pki, &names, 0).await;
    let (sender, messages) = mpsc::channel(1);
    sender
        .send(told(ToAgent::Open(request().into())))
        .await
        .unwrap();
    let mut client = AgentClient::new(deaf.unwrap());
    let unread = client.session(ReceiverStream::new(messages)).await.unwrap();
    let over = |line: &serde_json::Value| line["message"] == "session ends";
    stand.agent.wait_log(SOON, over).await.unwrap();

    let channel = connect(&stand, &stand.pki, &names).await.unwrap();
    let (_, said) = refusal(&channel, request()).await;
    assert!(said.contains("sessions"), "{said}");
    drop((unread, client, sender));
    // It is free as soon as the agent hears of that.
    let works = async || {
        let answers = answer(&channel, ToAgent::Open(request().into())).await;
        matches!(answers.last(), Some(FromAgent::Exited(exited)) if exited.status == 3)
            .then_some(())
    };
    eventually("a session", SOON, works).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_says_of_itself_is_cut_in_the_log() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let channel = connect(&stand, &stand.pki, &["frontdoor.podgate"]).await;
    let channel = channel.unwrap();
    let long = format!("a{}", "é".repeat(100_000));
    for change in [
        |open: &mut Open, long: &str| (open.versions, open.release) = (None, long.to_owned()),
        |open: &mut Open, long: &str| open.session_id = long.to_owned(),
        |open: &mut Open, long: &str| {
            let grant = open.grant.as_mut().unwrap();
            grant.pod.as_mut().unwrap().node = long.to_owned();
        },
    ] {
        let mut open = request();
        change(&mut open, &long);
        let (_, said) = refusal(&channel, open).await;
        assert!(said.len() < 512, "{said}");
    }
    let longest = stand.agent.log().iter().map(String::len).max().unwrap();
    assert!(longest < 4096, "{longest}");
}
