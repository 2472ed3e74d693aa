//! What ends a session from outside.

use podgate_proto::v1::failed::Reason;
use tokio_util::sync::CancellationToken;

use super::end::End;
use super::outbound::{Outbound, last_words};
use super::supervisor::over;

/// Waits until something outside of a session ends it, and tells the frontdoor. `gone` says why the
/// container is no more.
pub(crate) async fn cut_short(
    gone: impl Future<Output = String>,
    outbound: &Outbound,
    stopped: &CancellationToken,
) -> End {
    tokio::select! {
        biased;
        why = gone => {
            last_words(outbound, Reason::PodChanged, &over(&why)).await;
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
