//! One session: the frontdoor's stream on one side, the input and output of any action on the other.
//! Each direction has its own credit, and waits only for its own reader.

mod connection;
mod cut_short;
mod end;
mod input;
mod outbound;
mod output;
mod supervisor;

use std::future::pending;

use podgate_proto::flow::MAX_WAITING;
use podgate_proto::limits::ENDED_SINCE;
use podgate_proto::v1::{FrontdoorMessage, TerminalSize};
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::metrics::Moved;
use crate::streams::{Input, Output};
pub(crate) use connection::carry;
pub(crate) use cut_short::cut_short;
pub(crate) use end::End;
use input::{Flow, feed, receive};
pub(crate) use outbound::{Outbound, last_words, tell};
use output::give;
pub(crate) use supervisor::Supervisor;

/// What a frontdoor sends.
pub(crate) type Message = Result<FrontdoorMessage, Status>;

/// Carries a session from its start to its end, by this version of the link.
pub(crate) async fn run(
    (input, output): (&mut dyn Input, &mut dyn Output),
    supervisor: &impl Supervisor,
    mut inbound: impl Stream<Item = Message> + Unpin,
    (outbound, version): (&Outbound, u32),
    stopped: &CancellationToken,
    moved: &Moved<'_>,
) -> End {
    let flow = Flow::default();
    // The end of input needs one more place than the credit allows.
    let (queue, waiting) = mpsc::channel(MAX_WAITING + 1);
    let (resize, size) = watch::channel(TerminalSize::default());
    let unread = CancellationToken::new();
    tokio::select! {
        // Output comes first: all that the process has written is sent before anything else.
        biased;
        end = give((output, &unread), supervisor, (outbound, version >= ENDED_SINCE), &flow.output, moved) => end,
        end = receive(&mut inbound, supervisor, (queue, resize, &unread), &flow, outbound) => end,
        () = async {
            if let Err(error) = feed(input, (waiting, size), &flow.input, outbound, moved).await {
                tracing::debug!(%error, "the program takes no more input");
            }
            // The output tells how the process ended.
            pending().await
        } => End::Abandoned,
        // A runtime does not always end an exec whose container is gone (kubernetes issue 129144).
        end = cut_short(supervisor.until_gone(), outbound, stopped) => end,
    }
}
