//! One session: the frontdoor's stream on one side, a process on the other. It knows neither gRPC's
//! transport nor the kubelet's. Each direction waits for its own reader and for nothing else.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use podgate_proto::limits::INPUT_WINDOW;
use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::frontdoor_message::Message as FromFrontdoor;
use podgate_proto::v1::{AgentMessage, Exited, Failed, FrontdoorMessage, InputCredit};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::kubelet::exec::{self, Event, Input, Output};
use crate::kubelet::status::Exit;
use crate::metrics::Bytes as Counters;

/// An idle process is kept from being cut by the runtime, which does so after 4 h.
const PING: Duration = Duration::from_secs(30 * 60);

/// Messages for a process that does not read, at the most. The credit bounds their bytes.
const WAITING: usize = 256;

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
        () = take(&mut input, &mut inbound, outbound, counters) => End::Abandoned,
        () = outbound.closed() => End::Abandoned,
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

/// From the frontdoor to the process, until the frontdoor is gone. It is always listened to, whether
/// the process reads or not; how much input waits is bounded by the credit that the frontdoor has.
async fn take(
    input: &mut Input,
    inbound: &mut (impl Stream<Item = Result<FrontdoorMessage, Status>> + Unpin),
    outbound: &Outbound,
    counters: &Counters,
) {
    let credit = Semaphore::new(INPUT_WINDOW as usize);
    let (queue, waiting) = mpsc::channel(WAITING);
    let listen = async {
        while let Some(Ok(FrontdoorMessage {
            message: Some(message),
        })) = inbound.next().await
        {
            if let FromFrontdoor::Input(bytes) = &message {
                // Who sends more than its credit is no frontdoor of ours.
                match credit.try_acquire_many(bytes.len() as u32) {
                    Ok(taken) => taken.forget(),
                    Err(_) => return,
                }
            }
            // Nobody takes it once the process is done with its input: the output tells why.
            let _ = queue.send(message).await;
        }
    };
    let feed = async {
        if let Err(error) = feed(input, waiting, &credit, outbound, counters).await {
            tracing::debug!(%error, "input is taken no longer");
        }
        pending().await
    };
    tokio::select! {
        () = listen => {}
        () = feed => {}
    }
}

/// Gives the process what waits for it, and the credit for it back.
async fn feed(
    input: &mut Input,
    mut waiting: mpsc::Receiver<FromFrontdoor>,
    credit: &Semaphore,
    outbound: &Outbound,
    counters: &Counters,
) -> std::io::Result<()> {
    let mut pings = tokio::time::interval_at(Instant::now() + PING, PING);
    let mut taken = 0;
    loop {
        let message = tokio::select! {
            message = waiting.recv() => message,
            _ = pings.tick() => {
                input.ping().await?;
                continue;
            }
        };
        match message {
            Some(FromFrontdoor::Input(bytes)) => {
                input.write(&bytes).await?;
                let length = bytes.len() as u32;
                counters.input.inc_by(length.into());
                taken += length;
                if taken >= INPUT_WINDOW / 4 {
                    credit.add_permits(taken as usize);
                    let again = ToFrontdoor::InputCredit(InputCredit { bytes: taken });
                    // A frontdoor that is gone is noticed where it is listened to.
                    let _ = outbound
                        .send(Ok(AgentMessage {
                            message: Some(again),
                        }))
                        .await;
                    taken = 0;
                }
            }
            Some(FromFrontdoor::EndOfInput(_)) => input.close().await?,
            Some(FromFrontdoor::Resize(size)) => input.resize(&size).await?,
            // The kubelet's exec has no signals; a node helper has.
            Some(FromFrontdoor::Signal(_)) => {}
            Some(FromFrontdoor::Open(_)) | None => return Ok(()),
        }
    }
}
