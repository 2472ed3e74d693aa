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
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::end::End;
use super::outbound::{Outbound, last_words, tell};
use super::supervisor::Supervisor;
use crate::metrics::Moved;
use crate::streams::Input;

/// How often an idle program is kept alive. Runtimes cut it off after 4 h by default. Hardened ones
/// (containerd's `stream_idle_timeout`), and proxies in front of a kubelet, do so earlier.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(20);

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
struct Received {
    offset: Offset,
    ended: bool,
}

/// Reads the frontdoor's messages until it is gone, whether the process reads or not.
pub(super) async fn receive(
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
    let mut received = Received::default();
    while let Some(Ok(FrontdoorMessage { message })) = inbound.next().await {
        match handle(message, &mut received, supervisor, (&resize, unread), flow) {
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
fn handle(
    message: Option<FromFrontdoor>,
    received: &mut Received,
    supervisor: &impl Supervisor,
    (resize, unread): (&watch::Sender<TerminalSize>, &CancellationToken),
    flow: &Flow,
) -> Result<Option<Order>, Misuse> {
    let order = match message.ok_or(Misuse::Unknown)? {
        FromFrontdoor::OutputCredit(credit) => {
            flow.output.credit(&credit)?;
            return Ok(None);
        }
        // Signals and sizes do not wait behind input that nobody reads. Only the last size counts.
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
        FromFrontdoor::Input(_) | FromFrontdoor::EndOfInput(_) if received.ended => {
            return Err(Misuse::AfterEnd);
        }
        FromFrontdoor::Input(data) => {
            flow.input.received(data.bytes.len())?;
            Order::Write(received.offset.check(&data)?)
        }
        FromFrontdoor::EndOfInput(end) => {
            received.offset.check_end(end.offset)?;
            received.ended = true;
            Order::End
        }
        FromFrontdoor::Open(_) => return Err(Misuse::SecondOpen),
        // Only a listener knows it.
        FromFrontdoor::Decline(_) => return Err(Misuse::Unknown),
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
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (unwanted, mut discarded) = (input.unwanted(), false);
    loop {
        let order = tokio::select! {
            // A size comes before the input that follows it.
            biased;
            Ok(()) = size.changed() => {
                let size = *size.borrow_and_update();
                input.resize(&size).await?;
                continue;
            }
            () = unwanted.cancelled(), if !discarded => {
                discarded = true;
                input.discard().await?;
                continue;
            }
            _ = pings.tick() => {
                input.keep_alive().await?;
                continue;
            }
            order = next(input, &mut waiting) => order?,
        };
        match order {
            Some(Order::Write(bytes)) => {
                input.write(&bytes).await?;
                moved.input(bytes.len());
                if let Some(credit) = credit.passed_on(bytes.len()) {
                    // `receive` notices if the frontdoor is gone.
                    let _ = tell(outbound, ToFrontdoor::InputCredit(credit)).await;
                }
            }
            Some(Order::End) => input.end().await?,
            None => return Ok(()),
        }
    }
}

/// The next order, once the process may be given more. Nothing is lost if it is dropped half way.
async fn next(
    input: &mut dyn Input,
    waiting: &mut mpsc::Receiver<Order>,
) -> std::io::Result<Option<Order>> {
    input.ready().await?;
    Ok(waiting.recv().await)
}
