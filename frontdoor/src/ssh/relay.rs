//! Moves bytes between the channel of a forward and an agent's stream. Each direction ends by itself.

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use podgate_proto::flow::{self, MAX_WAITING};
use podgate_proto::v1::frontdoor_message::Message as ToAgent;
use podgate_proto::v1::{Address, EndOfInput, FrontdoorMessage};
use russh::server::{ChannelOpenHandle, Msg};
use russh::{ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::agent_messages::{Carries, Error, Flow, Received, receive};
use super::client::Client;
use super::end::End;
use super::idle::Idle;
use super::refused::Refused;
use super::{pump, recheck};
use crate::agents::Stream;
use crate::audit;
use crate::authz::Rights;

/// How long the pod may take what a client has sent before it closed its channel.
const LINGER: Duration = Duration::from_secs(2);
/// What a user reads who has lost the right to it.
const REVOKED: &str = "you may not connect to this pod any more";

/// One connection.
pub(super) struct Relay<'a> {
    pub(super) client: &'a Client,
    /// Cancelled when the client closes the channel, or goes; and by this at the end.
    pub(super) closed: &'a CancellationToken,
    pub(super) record: &'a audit::Session<'a>,
    /// What is left in the connection's recordings.
    pub(super) mark: &'a str,
}

/// Waits until something outside of a forward ends it.
pub(super) async fn cut_short(client: &Client) -> End {
    tokio::select! {
        () = client.ended.cancelled() => End::ClientGone,
        () = client.context.stopped.cancelled() => {
            End::Stopped("this frontdoor is being stopped".to_owned())
        }
        () = client.revoked.cancelled() => End::Revoked(recheck::REASON.to_owned()),
    }
}

impl Relay<'_> {
    /// Carries the connection to its end. Once it stands, a channel that waits for an answer is accepted.
    pub(super) async fn carry(
        &self,
        (stream, rights): (Stream, &Rights),
        (read, write): (&mut ChannelReadHalf, &ChannelWriteHalf<Msg>),
        reply: &mut Option<ChannelOpenHandle>,
    ) -> Result<End, Refused> {
        let Stream {
            to_agent,
            mut from_agent,
        } = stream;
        let flow = Flow::default();
        // Opened, the end of output and the end take places beside the credit.
        let (queue, mut waiting) = mpsc::channel(MAX_WAITING + 3);
        let mut receiving = pin!(receive(&mut from_agent, queue, &flow, Carries::Connection));
        stands(&mut waiting, receiving.as_mut()).await?;
        self.client.tapes.mark(self.mark).await;
        if let Some(reply) = reply.take() {
            reply.accept().await;
        }
        let end = tokio::select! {
            end = self.download(waiting, write, &to_agent, &flow.output) => end,
            error = receiving => End::Failed(error.to_string()),
            () = self.upload(read, &to_agent, &flow.input) => End::ClientGone,
            () = rights.lost() => End::Revoked(REVOKED.to_owned()),
        };
        self.closed.cancel();
        // The client may have closed it already.
        let _ = write.close().await;
        Ok(end)
    }

    /// From the pod to the client.
    async fn download(
        &self,
        mut waiting: mpsc::Receiver<Result<Received, Error>>,
        write: &ChannelWriteHalf<Msg>,
        to_agent: &mpsc::Sender<FrontdoorMessage>,
        credit: &flow::Receiver,
    ) -> End {
        // Cleared once the client has closed its channel: then the rest is thrown away.
        let mut taken = true;
        loop {
            let bytes: Bytes = match waiting.recv().await {
                Some(Ok(Received::Output(bytes))) => bytes,
                Some(Ok(Received::EndOfOutput)) => {
                    taken = taken && write.eof().await.is_ok();
                    continue;
                }
                Some(Ok(Received::Closed)) => return End::Closed,
                Some(Ok(Received::Failed { line, .. })) => return End::Failed(line),
                Some(Err(error)) => return End::Failed(error.to_string()),
                Some(Ok(_)) | None => return End::ClientGone,
            };
            let length = bytes.len();
            if taken {
                self.client.context.metrics.output.inc_by(length as u64);
                taken = write.data_bytes(bytes).await.is_ok();
                self.record.gave(length);
            }
            if let Some(credit) = credit.passed_on(length) {
                // `receive` notices if the stream is over.
                let _ = pump::tell(to_agent, ToAgent::OutputCredit(credit)).await;
            }
        }
    }

    /// From the client to the pod. Once the client has closed its channel, the pod is given a moment to
    /// take what was sent.
    async fn upload(
        &self,
        read: &mut ChannelReadHalf,
        to_agent: &mpsc::Sender<FrontdoorMessage>,
        credit: &flow::Sender,
    ) {
        let idle = Idle::new(None);
        let context = &self.client.context;
        let sending = async {
            let sent = pump::upload(
                read,
                to_agent,
                credit,
                context,
                (&idle, self.record, None, None),
            )
            .await;
            if let Some(offset) = sent.not_ended() {
                let _ = pump::tell(to_agent, ToAgent::EndOfInput(EndOfInput { offset })).await;
            }
            std::future::pending().await
        };
        tokio::select! {
            () = sending => {}
            () = async {
                self.closed.cancelled().await;
                sleep(LINGER).await;
            } => {}
        }
    }
}

/// Waits until the agent says that it stands, and where a listener does.
pub(super) async fn stands(
    waiting: &mut mpsc::Receiver<Result<Received, Error>>,
    receiving: Pin<&mut impl Future<Output = Error>>,
) -> Result<Option<Address>, Refused> {
    let heard = tokio::select! {
        heard = waiting.recv() => heard,
        error = receiving => Some(Err(error)),
    };
    match heard {
        Some(Ok(Received::Opened { bound, .. })) => Ok(bound),
        Some(Ok(Received::Failed { reason, line })) => Err(Refused::agent(reason, line)),
        Some(Err(error)) => Err(Refused::failed(ChannelOpenFailure::ConnectFailed, error)),
        Some(Ok(_)) | None => Err(Refused::failed(
            ChannelOpenFailure::ConnectFailed,
            Error::Misplaced,
        )),
    }
}
