//! The way to the frontdoor: bounded, so that a frontdoor that does not read slows the process.

use std::time::Duration;

use podgate_proto::shown;
use podgate_proto::v1::agent_message::Message;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::{AgentMessage, Failed};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Status;

/// How long a frontdoor may take to accept the message that says why its session is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where a session's messages go.
pub(crate) type Outbound = mpsc::Sender<Result<AgentMessage, Status>>;

/// The frontdoor is gone.
pub(crate) struct Gone;

/// Sends a message.
pub(crate) async fn tell(outbound: &Outbound, message: Message) -> Result<(), Gone> {
    let message = AgentMessage {
        message: Some(message),
    };
    outbound.send(Ok(message)).await.map_err(|_| Gone)
}

/// Tells the frontdoor why there is no session, or no longer one. A frontdoor that does not read or is
/// gone is not waited for.
pub(crate) async fn last_words(outbound: &Outbound, reason: Reason, message: &str) {
    let failed = Message::Failed(Failed {
        reason: reason.into(),
        message: shown::sentence(message),
    });
    let _ = timeout(LAST_WORDS, tell(outbound, failed)).await;
}
