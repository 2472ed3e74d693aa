//! Peers of version 1, generated from its frozen messages (tests/proto/link_v1.proto), are served by
//! today's agent and serve today's frontdoor.

use podgate_tests::fixtures::stand::{Changes, NODE, Stand};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::peers::{ID, connect, replace_agent};
use v1::agent_client::AgentClient;
use v1::agent_message::Message as FromAgent;
use v1::agent_server::{Agent, AgentServer};
use v1::frontdoor_message::Message as ToAgent;
use v1::{
    Action, AgentMessage, Container, Credit, Data, EndOfInput, Exec, Exited, FrontdoorMessage,
    Grant, Identity, Open, Opened, Pod, Versions, exec, open,
};

#[allow(missing_docs, unreachable_pub, dead_code, clippy::all)]
mod v1 {
    tonic::include_proto!("podgate.v1");
}

/// A request as the frontdoor of that release sends it. `highest` is the end of its range.
fn request(command: &str, highest: u32) -> Open {
    let expires = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    let expires = expires.duration_since(std::time::UNIX_EPOCH).unwrap();
    Open {
        versions: Some(Versions { lowest: 1, highest }),
        release: "0.1.0".into(),
        session_id: ID.into(),
        connection_id: ID.into(),
        grant: Some(Grant {
            identity: Some(Identity {
                user: "ada".into(),
                groups: Vec::new(),
                source: "key".into(),
                extra: Vec::new(),
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
            expires_at: expires.as_secs() as i64,
        }),
        action: Some(open::Action::Exec(Exec {
            program: Some(exec::Program::Command(command.into())),
            terminal: None,
            environment: Vec::new(),
        })),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontdoor_of_version_1_is_served() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let names = ["frontdoor.podgate"];
    // The same frontdoor, and one of a later release that still speaks version 1.
    for (highest, version) in [(1, 1), (7, 3)] {
        let channel = connect(&stand, &stand.pki, &names).await.unwrap();
        let (sender, messages) = mpsc::channel(8);
        let input = b"three\n";
        for message in [
            ToAgent::Open(request("cat; cat >&2; exit 3", highest)),
            ToAgent::Input(Data {
                offset: 0,
                bytes: input[..2].to_vec(),
            }),
            ToAgent::Input(Data {
                offset: 2,
                bytes: input[2..].to_vec(),
            }),
            ToAgent::EndOfInput(EndOfInput { offset: 6 }),
        ] {
            let message = Some(message);
            sender.send(FrontdoorMessage { message }).await.unwrap();
        }
        let stream = ReceiverStream::new(messages);
        let answers = AgentClient::new(channel).session(stream).await;
        let mut answers = answers.unwrap().into_inner();
        let mut output = Vec::new();
        let first = answers.message().await.unwrap().unwrap().message;
        assert!(
            matches!(&first, Some(FromAgent::Opened(opened)) if opened.version == version),
            "{first:?}"
        );
        let exited = loop {
            match answers.message().await.unwrap().unwrap().message.unwrap() {
                FromAgent::Output(data) => {
                    assert_eq!(data.offset, output.len() as u64);
                    output.extend(data.bytes);
                }
                FromAgent::InputCredit(_) => {}
                FromAgent::Exited(exited) => break exited,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(output, input);
        let expect = Exited {
            status: 3,
            output_offset: 6,
            stderr_offset: 0,
        };
        assert_eq!(exited, expect);
        assert!(answers.message().await.unwrap().is_none());
    }
}

/// An agent of version 1 that prints what it was sent, and ends with status 4.
#[derive(Clone, Copy)]
struct Older;

#[tonic::async_trait]
impl Agent for Older {
    type SessionStream = ReceiverStream<Result<AgentMessage, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<FrontdoorMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut inbound = request.into_inner();
        let (sender, messages) = mpsc::channel(8);
        tokio::spawn(async move {
            let say = async |message| {
                let message = Some(message);
                let _ = sender.send(Ok(AgentMessage { message })).await;
            };
            let first = inbound.message().await.unwrap().unwrap().message;
            let Some(ToAgent::Open(open)) = first else {
                panic!("{first:?}");
            };
            let versions = open.versions.unwrap();
            assert!((versions.lowest..=versions.highest).contains(&1));
            say(FromAgent::Opened(Opened {
                version: 1,
                release: "0.1.0".into(),
                bound: None,
            }))
            .await;
            let mut offset = 0;
            while let Some(message) = inbound.message().await.unwrap() {
                match message.message.unwrap() {
                    ToAgent::Input(data) => {
                        assert_eq!(data.offset, offset);
                        let length = data.bytes.len();
                        say(FromAgent::Output(data)).await;
                        say(FromAgent::InputCredit(Credit {
                            bytes: length.max(512) as u32,
                        }))
                        .await;
                        offset += length as u64;
                    }
                    ToAgent::EndOfInput(end) => {
                        assert_eq!(end.offset, offset);
                        break;
                    }
                    other => panic!("{other:?}"),
                }
            }
            say(FromAgent::Exited(Exited {
                status: 4,
                output_offset: offset,
                stderr_offset: 0,
            }))
            .await;
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_version_1_serves() {
    let mut stand = Stand::embedded(Changes::default()).await.unwrap();
    replace_agent(&mut stand, AgentServer::new(Older)).await;
    let output = stand.client.feed("demo", "cat", b"to and fro").await;
    let output = output.unwrap();
    assert_eq!(output.stdout, b"to and fro");
    assert_eq!(output.status.code(), Some(4), "{output:?}");
}
