//! One session: the frontdoor's stream on one side, a process on the other. Each direction waits for
//! its own reader and for nothing else, by credit of its own.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use podgate_proto::limits::{MAX_WAITING, WINDOW, cost};
use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::frontdoor_message::Message as FromFrontdoor;
use podgate_proto::v1::{AgentMessage, Credit, Exited, Failed, FrontdoorMessage};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::exit::Exit;
use crate::metrics::Moved;
use crate::streams::{Event, Input, Output};

/// An idle process is kept from being cut by the runtime, which does so after 4 h.
const PING: Duration = Duration::from_secs(30 * 60);

/// The status of a process that SIGKILL has ended, as all in a container that ends.
const KILLED: u8 = 128 + 9;

/// Where a session's messages go; bounded, so that a slow frontdoor slows the process.
pub(crate) type Outbound = mpsc::Sender<Result<AgentMessage, Status>>;

/// Watches over a session's process: all that a session asks beside the process's bytes.
pub(crate) trait Supervisor: Sync {
    /// Sends the process a signal, by its name in RFC 4254 §6.10.
    fn signal(&self, name: &str);

    /// Waits until the process's container is gone with all that ran in it, and says why.
    fn until_gone(&self) -> impl Future<Output = String> + Send;

    /// Why the container is gone, if that is why the process was killed.
    fn why_gone(&self) -> impl Future<Output = Option<String>> + Send;
}

/// How a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The process ended, and the frontdoor was told how.
    Exited(u8),
    /// The runtime failed to start it, and the frontdoor was told.
    NotStarted,
    /// Its container is no more, and the frontdoor was told.
    Gone,
    /// The frontdoor went away.
    Abandoned,
    /// The process's output broke off; the frontdoor was told.
    Broken,
    /// The agent is being stopped; the frontdoor was told.
    Stopped,
}

/// Carries a session from its start to its end.
pub(crate) async fn run(
    (input, output): (&mut dyn Input, &mut dyn Output),
    supervisor: &impl Supervisor,
    mut inbound: impl Stream<Item = Result<FrontdoorMessage, Status>> + Unpin,
    outbound: &Outbound,
    stopped: &CancellationToken,
    moved: &Moved<'_>,
) -> End {
    let credit = Credits {
        input: Semaphore::new(WINDOW as usize),
        output: Semaphore::new(WINDOW as usize),
    };
    let (queue, waiting) = mpsc::channel(MAX_WAITING);
    tokio::select! {
        // Output first: what the process still said is told before anything else is looked at.
        biased;
        end = give(output, supervisor, outbound, &credit, moved) => end,
        end = listen(&mut inbound, supervisor, queue, &credit, outbound) => end,
        () = async {
            if let Err(error) = feed(input, waiting, &credit, outbound, moved).await {
                tracing::debug!(%error, "input is taken no longer");
            }
            // The output tells how the process ended.
            pending().await
        } => End::Abandoned,
        why = supervisor.until_gone() => gone(&why, outbound),
        () = outbound.closed() => End::Abandoned,
        () = stopped.cancelled() => {
            let failed = failed(Reason::Shutdown, "the agent on the pod's node is being stopped");
            // The frontdoor may have stopped reading; the stop does not wait for it.
            let _ = outbound.try_send(Ok(failed));
            End::Stopped
        }
    }
}

/// The runtime does not always end what it knew of a container (kubernetes issue 129144).
fn gone(why: &str, outbound: &Outbound) -> End {
    // The frontdoor may have stopped reading; the end does not wait for it.
    let _ = outbound.try_send(Ok(failed(Reason::PodChanged, over(why))));
    End::Gone
}

/// The user's sentence for a container that ended in mid-session.
fn over(why: &str) -> String {
    format!("the session is over: {why}")
}

/// What may still be sent each way.
struct Credits {
    /// What the frontdoor has left.
    input: Semaphore,
    /// What this end has left.
    output: Semaphore,
}

/// A message that says why there is no session, or no longer.
pub(crate) fn failed(reason: Reason, message: impl Into<String>) -> AgentMessage {
    let failed = Failed {
        reason: reason.into(),
        message: message.into(),
    };
    AgentMessage {
        message: Some(ToFrontdoor::Failed(failed)),
    }
}

/// From the process to the frontdoor, as far as it has credit.
async fn give(
    output: &mut dyn Output,
    supervisor: &impl Supervisor,
    outbound: &Outbound,
    credit: &Credits,
    moved: &Moved<'_>,
) -> End {
    loop {
        let (bytes, kind): (_, fn(Bytes) -> ToFrontdoor) = match output.next().await {
            Ok(Event::Stdout(bytes)) => (bytes, ToFrontdoor::Stdout),
            Ok(Event::Stderr(bytes)) => (bytes, ToFrontdoor::Stderr),
            Ok(Event::Exit(exit)) => {
                if exit == Exit::Code(KILLED)
                    && let Some(why) = Box::pin(supervisor.why_gone()).await
                {
                    // A frontdoor that is gone needs no telling.
                    let _ = outbound
                        .send(Ok(failed(Reason::PodChanged, over(&why))))
                        .await;
                    return End::Gone;
                }
                return ended(exit, outbound).await;
            }
            Err(error) => {
                tracing::info!(%error, "the process's output broke off");
                let text = format!("the session was lost on the pod's node: {error}");
                // A frontdoor that is gone needs no telling.
                let _ = outbound.send(Ok(failed(Reason::LinkLost, text))).await;
                return End::Broken;
            }
        };
        // The semaphore is never closed.
        if let Ok(permits) = credit.output.acquire_many(cost(bytes.len())).await {
            permits.forget();
        }
        if outbound
            .send(Ok(counted(bytes, moved, kind)))
            .await
            .is_err()
        {
            return End::Abandoned;
        }
    }
}

fn counted(bytes: Bytes, moved: &Moved<'_>, kind: fn(Bytes) -> ToFrontdoor) -> AgentMessage {
    moved.output(bytes.len());
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

/// Hears the frontdoor until it is gone, whether the process reads or not.
async fn listen(
    inbound: &mut (impl Stream<Item = Result<FrontdoorMessage, Status>> + Unpin),
    supervisor: &impl Supervisor,
    queue: mpsc::Sender<FromFrontdoor>,
    credit: &Credits,
    outbound: &Outbound,
) -> End {
    while let Some(Ok(FrontdoorMessage {
        message: Some(message),
    })) = inbound.next().await
    {
        match &message {
            FromFrontdoor::OutputCredit(taken) => {
                credit.output.add_permits(taken.bytes.min(WINDOW) as usize);
                continue;
            }
            FromFrontdoor::Input(bytes) => match credit.input.try_acquire_many(cost(bytes.len())) {
                Ok(taken) => taken.forget(),
                Err(_) => {
                    let text = "the frontdoor sent more input than it may";
                    let _ = outbound.try_send(Ok(failed(Reason::Protocol, text)));
                    return End::Abandoned;
                }
            },
            // It must not wait behind input that nobody reads.
            FromFrontdoor::Signal(signal) => {
                supervisor.signal(&signal.name);
                continue;
            }
            _ => {}
        }
        // Nobody takes it once the process is done with its input: the output tells why.
        let _ = queue.send(message).await;
    }
    End::Abandoned
}

/// Gives the process what waits for it, and the credit for it back.
async fn feed(
    input: &mut dyn Input,
    mut waiting: mpsc::Receiver<FromFrontdoor>,
    credit: &Credits,
    outbound: &Outbound,
    moved: &Moved<'_>,
) -> std::io::Result<()> {
    let mut pings = tokio::time::interval_at(Instant::now() + PING, PING);
    let mut taken = 0;
    loop {
        let message = tokio::select! {
            message = waiting.recv() => message,
            _ = pings.tick() => {
                input.keep_alive().await?;
                continue;
            }
        };
        match message {
            Some(FromFrontdoor::Input(bytes)) => {
                input.write(&bytes).await?;
                moved.input(bytes.len());
                taken += cost(bytes.len());
                if taken >= WINDOW / 4 {
                    credit.input.add_permits(taken as usize);
                    let again = ToFrontdoor::InputCredit(Credit { bytes: taken });
                    // A frontdoor that is gone is noticed where it is listened to.
                    let _ = outbound
                        .send(Ok(AgentMessage {
                            message: Some(again),
                        }))
                        .await;
                    taken = 0;
                }
            }
            Some(FromFrontdoor::EndOfInput(_)) => input.end().await?,
            Some(FromFrontdoor::Resize(size)) => input.resize(&size).await?,
            // These are heard where they come in.
            Some(FromFrontdoor::Signal(_) | FromFrontdoor::OutputCredit(_)) => {}
            Some(FromFrontdoor::Open(_)) | None => return Ok(()),
        }
    }
}
