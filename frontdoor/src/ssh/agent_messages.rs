//! Reads an agent's messages, whether the client reads or not. It holds the agent to the protocol and
//! to its credit before any message waits: Opened comes first, and nothing comes after the end.

use bytes::Bytes;
use podgate_proto::flow::{self, Offset, Violation};
use podgate_proto::limits::{LINK_VERSIONS, RELEASE};
use podgate_proto::shown;
use podgate_proto::v1::agent_message::Message;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::{Address, AgentMessage, Incoming};
use tokio::sync::mpsc;

use super::end::Exit;

/// The credit of both directions.
#[derive(Default)]
pub(super) struct Flow {
    pub(super) input: flow::Sender,
    pub(super) output: flow::Receiver,
}

/// A message of the agent for the client.
pub(super) enum Received {
    Opened {
        /// Of the link that is used.
        version: u32,
        /// Where a listener listens.
        bound: Option<Address>,
    },
    /// A connection of a listener.
    Incoming(Incoming),
    Output(Bytes),
    Stderr(Bytes),
    /// The program has ended with this status. Output may follow, and Exited does.
    Ended(u32),
    Exited(Exit),
    /// A connection's.
    EndOfOutput,
    /// Both directions of a connection have ended.
    Closed,
    Failed {
        reason: Reason,
        line: String,
    },
}

/// What a stream carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    Program,
    Connection,
    Listener,
}

/// Why the agent's stream ends the session, in the user's sentence.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the agent on the pod's node sent this frontdoor {0}; the session is ended")]
    Violation(#[from] Violation),
    #[error(
        "the agent on the pod's node chose version {0} of the link, which this frontdoor (release {RELEASE}) does not speak; run the same release on both"
    )]
    Version(u32),
    #[error(
        "the agent on the pod's node sent a message that this frontdoor (release {RELEASE}) does not know; run the same release on both"
    )]
    Unknown,
    #[error("the agent on the pod's node sent a message that does not fit this session")]
    Misplaced,
    /// ssh would exit with its lowest byte, which may be 0.
    #[error("the agent on the pod's node sent the exit status {0}, which no program has")]
    Status(u32),
    #[error("the agent on the pod's node ended the session without giving a reason")]
    Silent,
    #[error("the connection to the agent on the pod's node was lost during the session")]
    Lost(#[source] tonic::Status),
}

/// What the agent has sent so far.
struct Sent {
    carries: Carries,
    opened: bool,
    /// A connection's output, or a program whose output may go on.
    ended: bool,
    output: Offset,
    stderr: Offset,
}

/// Reads the agent's messages and queues them for the client. Credit bounds how many wait. Returns only
/// if the agent breaks the protocol: any other end of the session is queued behind the output.
pub(super) async fn receive(
    from_agent: &mut tonic::Streaming<AgentMessage>,
    queue: mpsc::Sender<Result<Received, Error>>,
    flow: &Flow,
    carries: Carries,
) -> Error {
    let mut sent = Sent {
        carries,
        opened: false,
        ended: false,
        output: Offset::default(),
        stderr: Offset::default(),
    };
    loop {
        let received = match from_agent.message().await {
            Ok(Some(AgentMessage { message })) => match check(message, &mut sent, flow) {
                Ok(Some(received)) => Ok(received),
                Ok(None) => continue,
                Err(error) => return error,
            },
            Ok(None) => Err(Error::Silent),
            Err(status) => Err(Error::Lost(status)),
        };
        let over = matches!(
            received,
            Err(_) | Ok(Received::Exited(_) | Received::Closed | Received::Failed { .. })
        );
        if queue.send(received).await.is_err() || over {
            return std::future::pending().await;
        }
    }
}

/// Checks one message. Credit is counted here; every other message waits for the client.
fn check(
    message: Option<Message>,
    sent: &mut Sent,
    flow: &Flow,
) -> Result<Option<Received>, Error> {
    Ok(Some(match message.ok_or(Error::Unknown)? {
        Message::Opened(_) if sent.opened => return Err(Error::Misplaced),
        Message::Opened(opened) if LINK_VERSIONS.contains(&opened.version) => {
            sent.opened = true;
            Received::Opened {
                version: opened.version,
                bound: opened.bound,
            }
        }
        Message::Opened(opened) => return Err(Error::Version(opened.version)),
        Message::Failed(failed) => {
            tracing::debug!(reason = ?failed.reason(), "the agent says why");
            Received::Failed {
                reason: failed.reason(),
                line: shown::sentence(&failed.message),
            }
        }
        _ if !sent.opened => return Err(Error::Misplaced),
        Message::Incoming(incoming) if sent.carries == Carries::Listener => {
            Received::Incoming(incoming)
        }
        Message::Closed(_) if sent.carries == Carries::Listener => Received::Closed,
        _ if sent.carries == Carries::Listener => return Err(Error::Misplaced),
        Message::Output(data) if sent.carries == Carries::Program || !sent.ended => {
            flow.output.received(data.bytes.len())?;
            Received::Output(sent.output.check(&data)?)
        }
        Message::Stderr(data) if sent.carries == Carries::Program => {
            flow.output.received(data.bytes.len())?;
            Received::Stderr(sent.stderr.check(&data)?)
        }
        Message::InputCredit(credit) => {
            flow.input.credit(&credit)?;
            return Ok(None);
        }
        Message::Ended(ended) if sent.carries == Carries::Program && !sent.ended => {
            sent.ended = true;
            Received::Ended(status(ended.status)?)
        }
        Message::Exited(exited) if sent.carries == Carries::Program => {
            sent.output.check_end(exited.output_offset)?;
            sent.stderr.check_end(exited.stderr_offset)?;
            Received::Exited(Exit {
                status: status(exited.status)?,
                signal: (!exited.signal.is_empty())
                    .then(|| shown::release(&exited.signal).to_owned()),
                core_dumped: exited.core_dumped,
            })
        }
        Message::EndOfOutput(end) if sent.carries == Carries::Connection && !sent.ended => {
            sent.output.check_end(end.offset)?;
            sent.ended = true;
            Received::EndOfOutput
        }
        Message::Closed(_) if sent.carries == Carries::Connection && sent.ended => Received::Closed,
        Message::Output(_)
        | Message::Stderr(_)
        | Message::Ended(_)
        | Message::Exited(_)
        | Message::EndOfOutput(_)
        | Message::Incoming(_)
        | Message::Closed(_) => {
            return Err(Error::Misplaced);
        }
    }))
}

/// A status that a program can have.
fn status(told: u32) -> Result<u32, Error> {
    match u8::try_from(told) {
        Ok(status) => Ok(status.into()),
        Err(_) => Err(Error::Status(told)),
    }
}
