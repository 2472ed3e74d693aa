//! A connection in a pod, carried over the link until both of its directions are at their end.

use std::future::pending;

use podgate_proto::flow::{self, MAX_WAITING, Offset};
use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::{Closed, EndOfOutput, FrontdoorMessage, TerminalSize};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::cut_short::cut_short;
use super::end::End;
use super::input::{Flow, KEEP_ALIVE, Order, receive};
use super::outbound::{Outbound, last_words, tell};
use super::supervisor::Supervisor;
use crate::connection::{Connection, Read, Write};
use crate::metrics::Moved;

/// A connection has no process.
struct NoProcess;

impl Supervisor for NoProcess {
    fn signal(&self, _name: &str) {}

    async fn until_gone(&self) -> String {
        pending().await
    }

    async fn why_gone(&self) -> Option<String> {
        None
    }
}

/// Carries a connection to its end. `gone` says why its container is no more.
pub(crate) async fn carry(
    connection: Connection,
    gone: impl Future<Output = String>,
    mut inbound: impl Stream<Item = Result<FrontdoorMessage, Status>> + Unpin,
    outbound: &Outbound,
    stopped: &CancellationToken,
    moved: &Moved<'_>,
) -> End {
    let Connection {
        mut write,
        mut read,
    } = connection;
    let flow = Flow::default();
    // The end of input takes one more place than the credit allows.
    let (queue, waiting) = mpsc::channel(MAX_WAITING + 1);
    let (resize, _size) = watch::channel(TerminalSize::default());
    let unread = CancellationToken::new();
    tokio::select! {
        biased;
        end = async {
            let input = feed(&mut *write, waiting, &flow.input, outbound, moved);
            let output = give(&mut *read, outbound, &flow.output, moved);
            let input = async {
                input.await;
                Ok(())
            };
            match tokio::try_join!(input, output) {
                Err(end) => end,
                Ok(_) => match tell(outbound, ToFrontdoor::Closed(Closed {})).await {
                    Ok(()) => End::Closed,
                    Err(_) => End::Abandoned,
                }
            }
        } => end,
        end = receive(&mut inbound, &NoProcess, (queue, resize, &unread), &flow, outbound) => end,
        end = cut_short(gone, outbound, stopped) => end,
    }
}

/// From the frontdoor to the connection, up to the end of input. What a peer does not take any more is
/// thrown away, and its own direction lives on.
async fn feed(
    write: &mut dyn Write,
    mut waiting: mpsc::Receiver<Order>,
    credit: &flow::Receiver,
    outbound: &Outbound,
    moved: &Moved<'_>,
) {
    let mut pings = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut taken = true;
    loop {
        let order = tokio::select! {
            order = waiting.recv() => order,
            _ = pings.tick() => {
                taken = taken && write.keep_alive().await.is_ok();
                continue;
            }
        };
        match order {
            Some(Order::Write(bytes)) => {
                if taken && let Err(error) = write.write(&bytes).await {
                    tracing::debug!(%error, "the connection takes no more");
                    taken = false;
                }
                moved.input(bytes.len());
                if let Some(credit) = credit.passed_on(bytes.len()) {
                    // `receive` notices if the frontdoor is gone.
                    let _ = tell(outbound, ToFrontdoor::InputCredit(credit)).await;
                }
            }
            Some(Order::End) => {
                if taken {
                    let _ = write.end().await;
                }
                return;
            }
            // `receive` has returned, and says why.
            None => return pending().await,
        }
    }
}

/// From the connection to the frontdoor, up to the end of output.
async fn give(
    read: &mut dyn Read,
    outbound: &Outbound,
    credit: &flow::Sender,
    moved: &Moved<'_>,
) -> Result<(), End> {
    let mut offset = Offset::default();
    loop {
        match read.next().await {
            Ok(Some(mut bytes)) => {
                while let Some(data) = credit.next(&mut bytes, &mut offset).await {
                    moved.output(data.bytes.len());
                    let told = tell(outbound, ToFrontdoor::Output(data)).await;
                    told.map_err(|_| End::Abandoned)?;
                }
            }
            Ok(None) => {
                let offset = offset.get();
                let end = ToFrontdoor::EndOfOutput(EndOfOutput { offset });
                return tell(outbound, end).await.map_err(|_| End::Abandoned);
            }
            Err(error) => {
                tracing::info!(%error, "the connection broke off");
                last_words(outbound, Reason::Connect, &error.to_string()).await;
                return Err(End::Broken(None));
            }
        }
    }
}
