//! Connections that a frontdoor asks for in a pod (`ssh -L`, `-D`, `-W`). They are no programs.

mod request;

use std::sync::Arc;

use podgate_proto::v1::Opened;
use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;

use crate::grant::Granted;
use crate::metrics::Moved;
use crate::refusal::Refusal;
use crate::runtime::dialer::Dialer;
use crate::session::{self, End, Outbound};

pub(crate) use request::DialRequest;

/// Opens and carries connections.
#[derive(Clone, Debug)]
pub(crate) struct Forwards {
    dialer: Arc<dyn Dialer>,
}

impl Forwards {
    pub(crate) fn new(dialer: Arc<dyn Dialer>) -> Self {
        Self { dialer }
    }

    /// Opens a connection, and carries it to its end. Answers its outcome.
    pub(crate) async fn serve(
        &self,
        granted: &Granted,
        request: &DialRequest,
        opened: Opened,
        (inbound, outbound): (impl Stream<Item = session::Message> + Unpin, Outbound),
        (stopped, moved): (&CancellationToken, &Moved<'_>),
    ) -> &'static str {
        let dialled = tokio::select! {
            dialled = self.dialer.dial(granted, request.address()) => dialled,
            // A connection that nobody waits for any more is left at once.
            () = outbound.closed() => return End::Abandoned.word(),
        };
        let connection = match dialled {
            Ok(connection) => connection,
            Err(error) => {
                let Refusal {
                    reason,
                    message,
                    cause,
                } = error.into();
                tracing::info!(error = %cause, "no connection stands");
                session::last_words(&outbound, reason, &message).await;
                return End::NotStarted.word();
            }
        };
        let end = match session::tell(&outbound, ToFrontdoor::Opened(opened)).await {
            Err(_) => End::Abandoned,
            Ok(()) => {
                let gone = self.dialer.until_gone(granted);
                session::carry(connection, gone, inbound, &outbound, stopped, moved).await
            }
        };
        tracing::info!(?end, "connection ends");
        end.word()
    }
}
