//! Connections that a frontdoor asks for in a pod (`ssh -L`, `-D`, `-W`). They are no programs.

mod dial;
mod maker;
mod makers;
mod refused;
mod request;
mod resolve;
mod socket;

use std::sync::Arc;

use podgate_proto::v1::Opened;
use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;

use crate::grant::Granted;
use crate::metrics::{Metrics, Moved};
use crate::refusal::Refusal;
use crate::runtime::dialer::Dialer;
use crate::session::{self, End, Outbound};

use dial::Dials;
pub(crate) use makers::Makers;
pub(crate) use request::DialRequest;

/// Opens and carries connections.
#[derive(Clone, Debug)]
pub(crate) struct Forwards {
    dials: Dials,
    metrics: Arc<Metrics>,
}

impl Forwards {
    /// By the kubelet, and where there is a node entry by workers.
    pub(crate) fn new(
        kubelet: Arc<dyn Dialer>,
        makers: Option<Arc<Makers>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let dials = Dials { kubelet, makers };
        Self { dials, metrics }
    }

    /// Opens a connection for a user on an SSH connection, and carries it to its end. Answers its outcome,
    /// and what has opened it.
    pub(crate) async fn serve(
        &self,
        (granted, who): (&Granted, (&str, &str)),
        request: &DialRequest,
        opened: Opened,
        (inbound, outbound): (impl Stream<Item = session::Message> + Unpin, Outbound),
        (stopped, moved): (&CancellationToken, &Moved<'_>),
    ) -> (&'static str, Option<&'static str>) {
        let dialled = tokio::select! {
            // Boxed, so that a connection that stands does not hold its memory.
            dialled = Box::pin(self.dials.dial(granted, request, who)) => dialled,
            // A connection that nobody waits for any more is left at once.
            () = outbound.closed() => return (End::Abandoned.word(), None),
        };
        let (connection, by) = match dialled {
            Ok(dialled) => dialled,
            Err(error) => {
                self.metrics.dials.get_or_create(&"failed".into()).inc();
                let Refusal {
                    reason,
                    message,
                    cause,
                } = error.into();
                tracing::info!(error = %cause, "no connection stands");
                session::last_words(&outbound, reason, &message).await;
                return (End::NotStarted.word(), None);
            }
        };
        self.metrics.dials.get_or_create(&by.into()).inc();
        let end = match session::tell(&outbound, ToFrontdoor::Opened(opened)).await {
            Err(_) => End::Abandoned,
            Ok(()) => {
                let gone = self.dials.kubelet.until_gone(granted);
                session::carry(connection, gone, inbound, &outbound, stopped, moved).await
            }
        };
        tracing::info!(?end, "connection ends");
        (end.word(), Some(by))
    }
}
