//! From the frontdoor to the process. The frontdoor's messages are always read, whether the process
//! reads or not; its credit bounds what waits for the process.

use std::time::Duration;

use bytes::Bytes;
use podgate_proto::flow::{self, Offset, Violation};
use podgate_proto::limits::RELEASE;
use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::frontdoor_message::Message as FromFrontdoor;
use podgate_proto::v1::{FrontdoorMessage, TerminalSize};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::end::End;
use super::outbound::{Outbound, last_words, tell};
use super::supervisor::Supervisor;
use crate::metrics::Moved;
use crate::streams::Input;

/// How often an idle process is kept alive: runtimes cut one off after 4 h.
const KEEP_ALIVE: Duration = Duration::from_secs(30 * 60);

/// The credit of both directions.
#[derive(Default)]
pub(super) struct Flow {
    pub(super) input: flow::Receiver,
    pub(super) output: flow::Sender,
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

/// What to do with the process's input.
pub(super) enum Order {
    Write(Bytes),
    End,
}

/// What the frontdoor has sent so far.
#[derive(Default)]
struct Heard {
    offset: Offset,
    ended: bool,
}

/// Reads the frontdoor's messages until it is gone, whether the process reads or not.
pub(super) async fn listen(
    inbound: &mut (impl Stream<Item = Result<FrontdoorMessage, Status>> + Unpin),
    supervisor: &impl Supervisor,
    (queue, resize, unread): (
        mpsc::Sender<Order>,
        watch::Sender<TerminalSize>,
        &CancellationToken,
    ),
    flow: &Flow,
    outbound: &Outbound,
) -> End {
    let mut heard = Heard::default();
    while let Some(Ok(FrontdoorMessage { message })) = inbound.next().await {
        match hear(message, &mut heard, supervisor, (&resize, unread), flow) {
            Ok(None) => {}
            // The credit bounds the queue, so it has room. It is gone once the process is done with its
            // input; the output says why.
            Ok(Some(order)) => drop(queue.try_send(order)),
            Err(error) => {
                tracing::warn!(%error, "the frontdoor broke the protocol of the link");
                last_words(outbound, Reason::Protocol, &error.to_string()).await;
                return End::Violated;
            }
        }
    }
    End::Abandoned
}

/// Handles one message. Returns what to do with the process's input, if anything.
fn hear(
    message: Option<FromFrontdoor>,
    heard: &mut Heard,
    supervisor: &impl Supervisor,
    (resize, unread): (&watch::Sender<TerminalSize>, &CancellationToken),
    flow: &Flow,
) -> Result<Option<Order>, Misuse> {
    let order = match message.ok_or(Misuse::Unknown)? {
        FromFrontdoor::OutputCredit(credit) => {
            flow.output.credit(&credit)?;
            return Ok(None);
        }
        // Neither signals nor sizes wait behind input that nobody reads. Of sizes the last one counts.
        FromFrontdoor::Signal(signal) => {
            supervisor.signal(&signal.name);
            return Ok(None);
        }
        FromFrontdoor::Resize(size) => {
            resize.send_replace(size);
            return Ok(None);
        }
        FromFrontdoor::OutputUnread(_) => {
            unread.cancel();
            return Ok(None);
        }
        FromFrontdoor::Input(_) | FromFrontdoor::EndOfInput(_) if heard.ended => {
            return Err(Misuse::AfterEnd);
        }
        FromFrontdoor::Input(data) => {
            flow.input.received(data.bytes.len())?;
            Order::Write(heard.offset.check(&data)?)
        }
        FromFrontdoor::EndOfInput(end) => {
            heard.offset.check_end(end.offset)?;
            heard.ended = true;
            Order::End
        }
        FromFrontdoor::Open(_) => return Err(Misuse::SecondOpen),
    };
    Ok(Some(order))
}

/// Passes waiting input to the process, and gives its credit back.
pub(super) async fn feed(
    input: &mut dyn Input,
    (mut waiting, mut size): (mpsc::Receiver<Order>, watch::Receiver<TerminalSize>),
    credit: &flow::Receiver,
    outbound: &Outbound,
    moved: &Moved<'_>,
) -> std::io::Result<()> {
    let mut pings = tokio::time::interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    loop {
        let order = tokio::select! {
            // A size comes before the input that follows it.
            biased;
            Ok(()) = size.changed() => {
                let size = *size.borrow_and_update();
                input.resize(&size).await?;
                continue;
            }
            order = waiting.recv() => order,
            _ = pings.tick() => {
                input.keep_alive().await?;
                continue;
            }
        };
        match order {
            Some(Order::Write(bytes)) => {
                input.write(&bytes).await?;
                moved.input(bytes.len());
                if let Some(credit) = credit.passed_on(bytes.len()) {
                    // `listen` notices if the frontdoor is gone.
                    let _ = tell(outbound, ToFrontdoor::InputCredit(credit)).await;
                }
            }
            Some(Order::End) => input.end().await?,
            None => return Ok(()),
        }
    }
}
