//! One session: the frontdoor's stream on one side, a process on the other. It knows neither gRPC's
//! transport nor the kubelet's. Each direction waits for its own reader and for nothing else.

use std::time::Duration;

use bytes::Bytes;
use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::frontdoor_message::Message as FromFrontdoor;
use podgate_proto::v1::{AgentMessage, Exited, Failed, FrontdoorMessage};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::kubelet::exec::{self, Event, Input, Output};
use crate::kubelet::status::Exit;
use crate::metrics::Bytes as Counters;

/// An idle process is kept from being cut by the runtime, which does so after 4 h.
const PING: Duration = Duration::from_secs(30 * 60);

/// Where a session's messages go; bounded, so that a slow frontdoor slows the process.
pub type Outbound = mpsc::Sender<Result<AgentMessage, Status>>;

/// How a session ended.
#[derive(Debug)]
pub enum End {
    /// The process ended, and the frontdoor was told how.
    Exited(u8),
    /// The runtime failed to start it, and the frontdoor was told.
    NotStarted,
    /// The frontdoor went away.
    Abandoned,
    /// The kubelet's connection broke; the frontdoor was told.
    Broken(exec::Error),
    /// The agent is being stopped; the frontdoor was told.
    Stopped,
}

/// Carries a session from its start to its end.
pub async fn run(
    mut input: Input,
    mut output: Output,
    mut inbound: impl Stream<Item = Result<FrontdoorMessage, Status>> + Unpin,
    outbound: &Outbound,
    stopped: &CancellationToken,
    counters: &Counters,
) -> End {
    tokio::select! {
        // Output first: what the process still said is told before anything else is looked at.
        biased;
        end = give(&mut output, outbound, counters) => end,
        () = take(&mut input, &mut inbound, counters) => End::Abandoned,
        () = stopped.cancelled() => {
            let failed = failed(Reason::Shutdown, "the agent on the pod's node is being stopped");
            // The frontdoor may have stopped reading; the stop does not wait for it.
            let _ = outbound.try_send(Ok(failed));
            End::Stopped
        }
    }
}

/// A message that says why there is no session, or no longer.
pub fn failed(reason: Reason, message: impl Into<String>) -> AgentMessage {
    let failed = Failed {
        reason: reason.into(),
        message: message.into(),
    };
    AgentMessage {
        message: Some(ToFrontdoor::Failed(failed)),
    }
}

/// From the process to the frontdoor.
async fn give(output: &mut Output, outbound: &Outbound, counters: &Counters) -> End {
    loop {
        let (message, end) = match output.next().await {
            Ok(Event::Stdout(bytes)) => (counted(bytes, counters, ToFrontdoor::Stdout), None),
            Ok(Event::Stderr(bytes)) => (counted(bytes, counters, ToFrontdoor::Stderr), None),
            Ok(Event::Exit(exit)) => return ended(exit, outbound).await,
            Err(error) => {
                let text = format!("the session was lost on the pod's node: {error}");
                let message = failed(Reason::LinkLost, text);
                (message, Some(End::Broken(error)))
            }
        };
        let gone = outbound.send(Ok(message)).await.is_err();
        match end {
            Some(end) => return end,
            None if gone => return End::Abandoned,
            None => {}
        }
    }
}

fn counted(bytes: Bytes, counters: &Counters, kind: fn(Bytes) -> ToFrontdoor) -> AgentMessage {
    counters.output.inc_by(bytes.len() as u64);
    AgentMessage {
        message: Some(kind(bytes)),
    }
}

/// Tells how a process ended. A program that the runtime could not find or execute fares as a shell
/// says it would: 127 and 126.
async fn ended(exit: Exit, outbound: &Outbound) -> End {
    let (line, code) = match exit {
        Exit::Code(code) => (None, code),
        Exit::NotFound(text) => (Some(text), 127),
        Exit::NotExecutable(text) => (Some(text), 126),
        Exit::Failed(text) => {
            let text = format!("the runtime could not start the program: {text}");
            // A frontdoor that is gone needs no telling.
            let _ = outbound.send(Ok(failed(Reason::Exec, text))).await;
            return End::NotStarted;
        }
    };
    if let Some(text) = line {
        let words = text.rsplit("exec: ").next().unwrap_or(&text);
        let line = Bytes::from(format!("podgate: {words}\r\n"));
        let _ = outbound
            .send(Ok(AgentMessage {
                message: Some(ToFrontdoor::Stderr(line)),
            }))
            .await;
    }
    let exited = ToFrontdoor::Exited(Exited {
        status: code.into(),
    });
    match outbound
        .send(Ok(AgentMessage {
            message: Some(exited),
        }))
        .await
    {
        Ok(()) => End::Exited(code),
        Err(_) => End::Abandoned,
    }
}

/// From the frontdoor to the process, until the frontdoor is gone.
async fn take(
    input: &mut Input,
    inbound: &mut (impl Stream<Item = Result<FrontdoorMessage, Status>> + Unpin),
    counters: &Counters,
) {
    let mut pings = tokio::time::interval_at(tokio::time::Instant::now() + PING, PING);
    loop {
        let message = tokio::select! {
            message = inbound.next() => message,
            _ = pings.tick() => {
                if input.ping().await.is_err() { break }
                continue;
            }
        };
        let Some(Ok(FrontdoorMessage { message })) = message else {
            return;
        };
        let sent = match message {
            Some(FromFrontdoor::Input(bytes)) => {
                counters.input.inc_by(bytes.len() as u64);
                input.write(&bytes).await
            }
            Some(FromFrontdoor::EndOfInput(_)) => input.close().await,
            Some(FromFrontdoor::Resize(size)) => input.resize(&size).await,
            // The kubelet's exec has no signals; a node helper has.
            Some(FromFrontdoor::Signal(_)) => Ok(()),
            Some(FromFrontdoor::Open(_)) | None => return,
        };
        if let Err(error) = sent {
            // The process may have ended and its exit status be on the way: that is the output's
            // to tell. Its input goes nowhere from now on.
            tracing::debug!(%error, "input no longer taken");
            break;
        }
    }
    // A frontdoor that is still there keeps its stream open, whether it has more to say or not.
    while let Some(Ok(_)) = inbound.next().await {}
}
