//! One session: the frontdoor's stream on one side, a process on the other. Each direction waits for
//! its own reader and for nothing else, by credit of its own.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use podgate_proto::flow::{self, MAX_WAITING, Offset, Violation};
use podgate_proto::limits::{MAX_CHUNK, RELEASE};
use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::frontdoor_message::Message as FromFrontdoor;
use podgate_proto::v1::{AgentMessage, Data, Exited, Failed, FrontdoorMessage, TerminalSize};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::kubelet::exec::{self, Event, Input, Output};
use crate::kubelet::status::Exit;
use crate::metrics::Moved;

/// An idle process is kept from being cut by the runtime, which does so after 4 h.
const PING: Duration = Duration::from_secs(30 * 60);

/// The status of a process that SIGKILL has ended, as all in a container that ends.
const KILLED: u8 = 128 + 9;

/// For a frontdoor that does not read, to take the message that says why its session is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where a session's messages go; bounded, so that a slow frontdoor slows the process.
pub type Outbound = mpsc::Sender<Result<AgentMessage, Status>>;

/// Where a session's process runs, as far as its session has to know.
pub trait Place: Sync {
    /// Sends the process a signal, by its name as RFC 4254 §6.10 has it.
    fn signal(&self, name: &str);

    /// Waits until the place is gone, and all that it held; says why.
    fn gone(&self) -> impl Future<Output = String> + Send;

    /// Why the place is gone, if that is why its process was killed.
    fn is_gone(&self) -> impl Future<Output = Option<String>> + Send;
}

/// How a session ended.
#[derive(Debug)]
pub enum End {
    /// The process ended, and the frontdoor was told how.
    Exited(u8),
    /// The runtime failed to start it, and the frontdoor was told.
    NotStarted,
    /// Its container is no more, and the frontdoor was told.
    Gone,
    /// The frontdoor went away.
    Abandoned,
    /// The frontdoor broke the protocol, and was told.
    Violated,
    /// The kubelet's connection broke; the frontdoor was told.
    Broken(exec::Error),
    /// The agent is being stopped; the frontdoor was told.
    Stopped,
}

impl End {
    /// Its word in logs, audit events and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Exited(_) => "exited",
            Self::NotStarted => "refused",
            Self::Gone => "gone",
            Self::Broken(_) => "broken",
            Self::Stopped => "stopped",
            Self::Abandoned => "abandoned",
            Self::Violated => "violated",
        }
    }

    /// The process's exit status.
    pub fn status(&self) -> Option<u8> {
        match self {
            Self::Exited(status) => Some(*status),
            _ => None,
        }
    }

    /// Whether the process has ended, too: nothing has to be hung up.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::NotStarted | Self::Gone)
    }
}

/// Carries a session from its start to its end.
pub async fn run(
    (input, output): (&mut Input, &mut Output),
    place: &impl Place,
    mut inbound: impl Stream<Item = Result<FrontdoorMessage, Status>> + Unpin,
    outbound: &Outbound,
    stopped: &CancellationToken,
    moved: &Moved<'_>,
) -> End {
    let flow = Flow::default();
    let (queue, waiting) = mpsc::channel(MAX_WAITING);
    tokio::select! {
        // Output first: what the process still said is told before anything else is looked at.
        biased;
        end = give(output, place, outbound, &flow.output, moved) => end,
        end = listen(&mut inbound, place, queue, &flow, outbound) => end,
        () = async {
            if let Err(error) = feed(input, waiting, &flow.input, outbound, moved).await {
                tracing::debug!(%error, "input is taken no longer");
            }
            // The output tells how the process ended.
            pending().await
        } => End::Abandoned,
        // The runtime does not always end what it knew of a container (kubernetes issue 129144).
        why = place.gone() => {
            last_words(outbound, Reason::PodChanged, over(&why)).await;
            End::Gone
        }
        () = outbound.closed() => End::Abandoned,
        () = stopped.cancelled() => {
            let text = "the agent on the pod's node is being stopped";
            last_words(outbound, Reason::Shutdown, text).await;
            End::Stopped
        }
    }
}

/// Tells the frontdoor why the session is over. One that has stopped reading, or is gone, is not
/// waited for.
async fn last_words(outbound: &Outbound, reason: Reason, message: impl Into<String>) {
    let _ = timeout(LAST_WORDS, outbound.send(Ok(failed(reason, message)))).await;
}

/// The user's sentence for a container that ended in mid-session.
fn over(why: &str) -> String {
    format!("the session is over: {why}")
}

/// What may still be sent each way.
#[derive(Default)]
struct Flow {
    input: flow::Receiver,
    output: flow::Sender,
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

/// From the process to the frontdoor, as far as it has credit.
async fn give(
    output: &mut Output,
    place: &impl Place,
    outbound: &Outbound,
    credit: &flow::Sender,
    moved: &Moved<'_>,
) -> End {
    let mut sent = Sent::default();
    loop {
        let given = match output.next().await {
            Ok(Event::Stdout(bytes)) => {
                let to = (&mut sent.output, ToFrontdoor::Output as fn(Data) -> _);
                send(bytes, to, outbound, credit, moved).await
            }
            Ok(Event::Stderr(bytes)) => {
                let to = (&mut sent.stderr, ToFrontdoor::Stderr as fn(Data) -> _);
                send(bytes, to, outbound, credit, moved).await
            }
            Ok(Event::Exit(exit)) => {
                if exit == Exit::Code(KILLED)
                    && let Some(why) = Box::pin(place.is_gone()).await
                {
                    last_words(outbound, Reason::PodChanged, over(&why)).await;
                    return End::Gone;
                }
                return ended(exit, sent, outbound).await;
            }
            Err(error) => {
                let text = format!("the session was lost on the pod's node: {error}");
                last_words(outbound, Reason::LinkLost, text).await;
                return End::Broken(error);
            }
        };
        if given.is_err() {
            return End::Abandoned;
        }
    }
}

/// How many bytes of each stream were sent.
#[derive(Default)]
struct Sent {
    output: Offset,
    stderr: Offset,
}

/// The frontdoor is gone.
struct Gone;

/// Sends bytes of one stream, as many messages as they need.
async fn send(
    mut bytes: Bytes,
    (offset, kind): (&mut Offset, fn(Data) -> ToFrontdoor),
    outbound: &Outbound,
    credit: &flow::Sender,
    moved: &Moved<'_>,
) -> Result<(), Gone> {
    while !bytes.is_empty() {
        let chunk = bytes.split_to(bytes.len().min(MAX_CHUNK));
        credit.reserve(chunk.len()).await;
        moved.output(chunk.len());
        let message = kind(offset.number(chunk));
        tell(outbound, message).await?;
    }
    Ok(())
}

async fn tell(outbound: &Outbound, message: ToFrontdoor) -> Result<(), Gone> {
    let message = AgentMessage {
        message: Some(message),
    };
    outbound.send(Ok(message)).await.map_err(|_| Gone)
}

/// Tells how a process ended. A program that the runtime could not find or execute fares as a shell
/// says it would: 127 and 126.
async fn ended(exit: Exit, mut sent: Sent, outbound: &Outbound) -> End {
    let (line, code) = match exit {
        Exit::Code(code) => (None, code),
        Exit::NotFound(text) => (Some(text), 127),
        Exit::NotExecutable(text) => (Some(text), 126),
        Exit::Failed(text) => {
            let text = format!("the runtime could not start the program: {text}");
            last_words(outbound, Reason::Exec, text).await;
            return End::NotStarted;
        }
    };
    if let Some(text) = line {
        let words = text.rsplit("exec: ").next().unwrap_or(&text);
        // The program sent nothing, so there is credit for a line.
        let line = Bytes::from(format!("podgate: {words}\r\n"));
        let line = ToFrontdoor::Stderr(sent.stderr.number(line));
        if tell(outbound, line).await.is_err() {
            return End::Abandoned;
        }
    }
    let exited = Exited {
        status: code.into(),
        output_offset: sent.output.get(),
        stderr_offset: sent.stderr.get(),
    };
    match tell(outbound, ToFrontdoor::Exited(exited)).await {
        Ok(()) => End::Exited(code),
        Err(Gone) => End::Abandoned,
    }
}

/// How a frontdoor broke the protocol of the link, in the user's sentence.
#[derive(Debug, thiserror::Error)]
enum Misuse {
    #[error("the frontdoor sent the agent on the pod's node {0}")]
    Violation(#[from] Violation),
    #[error("the frontdoor sent the agent on the pod's node two requests in one session")]
    SecondOpen,
    #[error("the frontdoor sent the agent on the pod's node input after its end")]
    AfterEnd,
    #[error(
        "the frontdoor sent a message that the agent on the pod's node (release {RELEASE}) does not know; run the same release on both"
    )]
    Unknown,
}

/// What the process's input is to do.
enum Order {
    Write(Bytes),
    End,
    Resize(TerminalSize),
}

/// What was heard of the input.
#[derive(Default)]
struct Heard {
    offset: Offset,
    ended: bool,
}

/// Hears the frontdoor until it is gone, whether the process reads or not.
async fn listen(
    inbound: &mut (impl Stream<Item = Result<FrontdoorMessage, Status>> + Unpin),
    place: &impl Place,
    queue: mpsc::Sender<Order>,
    flow: &Flow,
    outbound: &Outbound,
) -> End {
    let mut heard = Heard::default();
    while let Some(Ok(FrontdoorMessage { message })) = inbound.next().await {
        match hear(message, &mut heard, place, flow) {
            Ok(None) => {}
            // Nobody takes it once the process is done with its input: the output tells why.
            Ok(Some(order)) => drop(queue.send(order).await),
            Err(error) => {
                tracing::warn!(%error, "the frontdoor broke the protocol of the link");
                last_words(outbound, Reason::Protocol, error.to_string()).await;
                return End::Violated;
            }
        }
    }
    End::Abandoned
}

/// Follows one message, or says what the process's input is to do.
fn hear(
    message: Option<FromFrontdoor>,
    heard: &mut Heard,
    place: &impl Place,
    flow: &Flow,
) -> Result<Option<Order>, Misuse> {
    let order = match message.ok_or(Misuse::Unknown)? {
        FromFrontdoor::OutputCredit(credit) => {
            flow.output.credit(&credit)?;
            return Ok(None);
        }
        // It must not wait behind input that nobody reads.
        FromFrontdoor::Signal(signal) => {
            place.signal(&signal.name);
            return Ok(None);
        }
        FromFrontdoor::Input(_) if heard.ended => return Err(Misuse::AfterEnd),
        FromFrontdoor::Input(data) => {
            flow.input.received(data.bytes.len())?;
            Order::Write(heard.offset.check(data)?)
        }
        FromFrontdoor::EndOfInput(end) => {
            heard.offset.check_end(end.offset)?;
            heard.ended = true;
            Order::End
        }
        FromFrontdoor::Resize(size) => Order::Resize(size),
        FromFrontdoor::Open(_) => return Err(Misuse::SecondOpen),
    };
    Ok(Some(order))
}

/// Gives the process what waits for it, and the credit for it back.
async fn feed(
    input: &mut Input,
    mut waiting: mpsc::Receiver<Order>,
    credit: &flow::Receiver,
    outbound: &Outbound,
    moved: &Moved<'_>,
) -> std::io::Result<()> {
    let mut pings = tokio::time::interval_at(Instant::now() + PING, PING);
    loop {
        let order = tokio::select! {
            order = waiting.recv() => order,
            _ = pings.tick() => {
                input.ping().await?;
                continue;
            }
        };
        match order {
            Some(Order::Write(bytes)) => {
                input.write(&bytes).await?;
                moved.input(bytes.len());
                if let Some(credit) = credit.passed_on(bytes.len()) {
                    // A frontdoor that is gone is noticed where it is listened to.
                    let _ = tell(outbound, ToFrontdoor::InputCredit(credit)).await;
                }
            }
            Some(Order::End) => input.close().await?,
            Some(Order::Resize(size)) => input.resize(&size).await?,
            None => return Ok(()),
        }
    }
}
