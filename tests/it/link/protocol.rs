//! A peer that breaks the protocol ends its own session, is told how, and costs the other no more
//! memory than the credit it was given.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use podgate_proto::flow::{self, Offset};
use podgate_proto::limits::{LINK_VERSIONS, MAX_CHUNK, MAX_FRAME, WINDOW};
use podgate_proto::v1::agent_client::AgentClient;
use podgate_proto::v1::agent_message::Message as FromAgent;
use podgate_proto::v1::agent_server::{Agent, AgentServer};
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::frontdoor_message::Message as ToAgent;
use podgate_proto::v1::{
    AgentMessage, Credit, Data, EndOfInput, EndOfOutput, Ended, Exited, Failed, FrontdoorMessage,
    Opened, exec, open,
};
use podgate_tests::fixtures::stand::{Changes, Stand};
use tokio::sync::{Barrier, mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::peers::{connect, replace_agent, request};

const SOON: Duration = Duration::from_secs(10);
/// A peer that can go on never takes this long.
const STALL: Duration = Duration::from_millis(700);

fn data(offset: u64, length: usize) -> Data {
    let bytes = Bytes::from(vec![b'x'; length]);
    Data { offset, bytes }
}

fn input(offset: u64, length: usize) -> Option<ToAgent> {
    Some(ToAgent::Input(data(offset, length)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_ends_the_session_of_a_frontdoor_that_breaks_it() {
    let changes = Changes {
        agent: "hangUpGraceSeconds: 1\n".into(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let channel = connect(&stand, &stand.pki, &["frontdoor.podgate"]).await;
    let channel = channel.unwrap();
    let check = async |then: Vec<Option<ToAgent>>, words: &str| {
        let mut open = request();
        if let Some(open::Action::Exec(exec)) = &mut open.action {
            exec.program = Some(exec::Program::Command("exec sleep 7200".into()));
        }
        let (sender, messages) = mpsc::channel(64);
        let stream = ReceiverStream::new(messages);
        let send = async {
            for message in [Some(ToAgent::Open(open.into()))].into_iter().chain(then) {
                // The session may be over by then.
                let _ = sender.send(FrontdoorMessage { message }).await;
            }
        };
        let answers = AgentClient::new(channel.clone()).session(stream).await;
        let mut answers = answers.unwrap().into_inner();
        let hear = async {
            loop {
                match answers.message().await.unwrap().unwrap().message.unwrap() {
                    FromAgent::Failed(failed) => return failed,
                    FromAgent::Opened(_) | FromAgent::InputCredit(_) => {}
                    other => panic!("{words}: {other:?}"),
                }
            }
        };
        let (failed, ()) = tokio::join!(timeout(SOON, hear), send);
        let failed = failed.unwrap_or_else(|_| panic!("{words}: no answer"));
        assert_eq!(failed.reason(), Reason::Protocol);
        assert!(failed.message.contains(words), "{}", failed.message);
        assert!(answers.message().await.unwrap().is_none());
    };
    let end = |offset| Some(ToAgent::EndOfInput(EndOfInput { offset }));
    // A message that a peer does not know reaches it as an empty one.
    check(vec![None], "does not know").await;
    check(vec![Some(ToAgent::Open(request().into()))], "two requests").await;
    check(vec![input(1, 5)], "byte 1 of a stream where byte 0 was due").await;
    check(vec![input(0, 5), input(4, 5)], "byte 4").await;
    check(vec![input(0, 5), end(6)], "byte 6").await;
    check(vec![end(0), input(0, 1)], "after its end").await;
    check(vec![end(0), end(0)], "after its end").await;
    check(vec![input(0, MAX_CHUNK + 1)], "in one message").await;
    let credit = Some(ToAgent::OutputCredit(Credit { bytes: 1 }));
    check(vec![credit], "more credit than there is").await;
    // More than the window, and all that the runtime takes of it meanwhile.
    let flood = (0..256).map(|i| input(i * MAX_CHUNK as u64, MAX_CHUNK));
    check(flood.collect(), "more bytes than its credit allows").await;

    let ended = ["podgate_agent_sessions_total{action=\"exec\",outcome=\"violated\"} 10"];
    stand.agent.counts(SOON, &ended).await.unwrap();
    let embedded = stand.embedded.as_ref().unwrap();
    let left = timeout(SOON, embedded.until_running(0)).await;
    assert!(left.is_ok(), "{:?} stays behind", embedded.running());
}

/// An agent that sends these messages of its own accord, and then nothing.
#[derive(Clone)]
struct Script(Vec<Option<FromAgent>>);

#[tonic::async_trait]
impl Agent for Script {
    type SessionStream = ReceiverStream<Result<AgentMessage, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<FrontdoorMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let script = self.0.clone();
        let (sender, messages) = mpsc::channel(4);
        tokio::spawn(async move {
            for message in script {
                let _ = sender.send(Ok(AgentMessage { message })).await;
            }
            let mut inbound = request.into_inner();
            while let Ok(Some(_)) = inbound.message().await {}
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

fn opened() -> Option<FromAgent> {
    Some(FromAgent::Opened(Opened {
        version: *LINK_VERSIONS.end(),
        ..Opened::default()
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontdoor_ends_the_session_of_an_agent_that_breaks_it() {
    let output = |offset, length| Some(FromAgent::Output(data(offset, length)));
    let exited = |output_offset| {
        Some(FromAgent::Exited(Exited {
            output_offset,
            ..Exited::default()
        }))
    };
    let version = Some(FromAgent::Opened(Opened {
        version: 1000,
        ..Opened::default()
    }));
    let status = |status| {
        Some(FromAgent::Exited(Exited {
            status,
            ..Exited::default()
        }))
    };
    let ended = |status| Some(FromAgent::Ended(Ended { status }));
    let half_close = Some(FromAgent::EndOfOutput(EndOfOutput { offset: 0 }));
    let credit = Some(FromAgent::InputCredit(Credit { bytes: 1 }));
    let long = Some(FromAgent::Failed(Failed {
        reason: Reason::Exec.into(),
        message: format!("it says\r\n{}", "x".repeat(40_000)),
    }));
    let first = [
        (vec![None], "does not know"),
        (vec![version], "version 1000 of the link"),
        (vec![exited(0)], "does not fit this session"),
        (vec![output(0, 1)], "does not fit this session"),
        (vec![opened(), opened()], "does not fit this session"),
        (vec![long], "it says  xxx"),
    ];
    let later = [
        (vec![output(0, 3), output(4, 3)], "byte 4 of a stream"),
        // The program's last bytes are missing, so its status is not believed.
        (vec![output(0, 3), exited(4)], "byte 4 of a stream"),
        (vec![output(0, MAX_CHUNK + 1)], "in one message"),
        (vec![half_close], "does not fit this session"),
        // ssh would exit with 0.
        (vec![status(256)], "exit status 256"),
        // What comes after a status counts, too.
        (vec![ended(0), output(1, 1)], "byte 1 of a stream"),
        (vec![ended(0), ended(0)], "does not fit this session"),
        (vec![ended(256)], "exit status 256"),
        (vec![credit], "more credit than there is"),
    ];
    let later = later.map(|(then, words)| ([vec![opened()], then].concat(), words));
    for (script, words) in first.into_iter().chain(later) {
        let mut stand = Stand::embedded(Changes::default()).await.unwrap();
        replace_agent(&mut stand, AgentServer::new(Script(script))).await;
        let output = stand.client.run(&[], "demo", "true").await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(255), "{said}");
        assert!(said.len() < 5000, "{words}: {} bytes", said.len());
        let lines: Vec<_> = said.lines().collect();
        assert!(
            matches!(lines[..], [line] if line.starts_with("podgate: ") && line.contains(words)),
            "{words}: {said}"
        );
    }
}

/// Sessions of the agent below, so many that what they have in common hardly counts.
const SESSIONS: usize = 64;

/// An agent with endless output, which waits for credit or does not. All sessions begin it at once.
#[derive(Clone)]
struct Endless {
    waits: bool,
    begin: Arc<Barrier>,
    /// Messages that were sent, in all sessions.
    sent: Arc<watch::Sender<usize>>,
}

#[tonic::async_trait]
impl Agent for Endless {
    type SessionStream = ReceiverStream<Result<AgentMessage, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<FrontdoorMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let this = self.clone();
        let (sender, messages) = mpsc::channel(4);
        tokio::spawn(async move {
            let (credit, mut offset) = (flow::Sender::new(), Offset::default());
            let bytes = Bytes::from(vec![b'x'; MAX_CHUNK]);
            let send = async {
                let message = opened();
                let _ = sender.send(Ok(AgentMessage { message })).await;
                this.begin.wait().await;
                loop {
                    if this.waits {
                        credit.reserve(MAX_CHUNK).await;
                    }
                    let message = Some(FromAgent::Output(offset.number(bytes.clone())));
                    if sender.send(Ok(AgentMessage { message })).await.is_err() {
                        return;
                    }
                    this.sent.send_modify(|sent| *sent += 1);
                }
            };
            let mut inbound = request.into_inner();
            let hear = async {
                while let Ok(Some(FrontdoorMessage { message })) = inbound.message().await {
                    if let (Some(ToAgent::OutputCredit(given)), true) = (message, this.waits) {
                        credit.credit(&given).unwrap();
                    }
                }
            };
            tokio::select! {
                () = send => {}
                () = hear => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

/// Bytes that the frontdoor takes at most for each session with such an agent, whose client does not
/// read.
async fn costs(waits: bool) -> usize {
    let mut stand = Stand::embedded(Changes::default()).await.unwrap();
    let (sent, mut seen) = watch::channel(0);
    let endless = Endless {
        waits,
        begin: Arc::new(Barrier::new(SESSIONS)),
        sent: Arc::new(sent),
    };
    replace_agent(&mut stand, AgentServer::new(endless)).await;
    let shared = stand.client.share("demo").await.unwrap();
    stand.frontdoor.reset_peak().unwrap();
    let before = stand.frontdoor.peak().unwrap();
    let clients = (0..SESSIONS).map(|_| {
        let mut ssh = stand.client.ssh(&[&shared.option], "demo");
        ssh.arg("true").stdin(Stdio::null()).spawn().unwrap()
    });
    let clients: Vec<_> = clients.collect();
    if waits {
        let windows = SESSIONS * WINDOW as usize / MAX_CHUNK;
        let all = seen.wait_for(|sent| *sent > windows);
        timeout(SOON * 3, all).await.unwrap().unwrap();
        // Once all buffers are full, nothing more is taken.
        while timeout(STALL, seen.changed()).await.is_ok() {}
    } else {
        let all = format!(
            "podgate_frontdoor_sessions_total{{action=\"exec\",outcome=\"failed\"}} {SESSIONS}"
        );
        stand.frontdoor.counts(SOON * 3, &[&all]).await.unwrap();
    }
    let peak = stand.frontdoor.peak().unwrap();
    for client in clients {
        if waits {
            drop(client);
            continue;
        }
        let output = timeout(SOON, client.wait_with_output()).await;
        let status = output.expect("it hangs").unwrap().status;
        assert_eq!(status.code(), Some(255));
    }
    (peak - before) as usize / SESSIONS
}

/// The window is held either way. What comes beyond it ends the session, in the frame of HTTP/2 that it
/// came with.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_wait_for_credit_costs_a_frontdoor_a_frame_more_at_most() {
    let (waits, floods) = (costs(true).await, costs(false).await);
    println!("{waits} bytes each, {floods} bytes each");
    let bound = waits + MAX_FRAME as usize;
    assert!(floods < bound, "{floods} bytes, {waits} bytes");
}
