//! A forward's channel (`ssh -L`, `-D`, `-W`): a connection to an address in the pod. As sshd does, the
//! channel is confirmed once the connection stands, and else refused with the reason. Each direction ends
//! by itself.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use podgate_proto::flow::{self, MAX_WAITING};
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::frontdoor_message::Message as ToAgent;
use podgate_proto::v1::open::Action;
use podgate_proto::v1::{self, EndOfInput, FrontdoorMessage};
use russh::server::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::agent_messages::{Carries, Error, Flow, Received, receive};
use super::client::Client;
use super::destination::Endpoint;
use super::end::End;
use super::idle::Idle;
use super::{id, open, pump, recheck};
use crate::agents::{Ids, Stream};
use crate::audit::{self, RefusedBy};
use crate::authn::restrictions::Restrictions;
use crate::login_name::Target;
use crate::quotas::ForwardSlot;
use podgate_identity::Identity;

/// How long the pod may take what a client has sent before it closed its channel.
const LINGER: Duration = Duration::from_secs(2);
const REVOKED: &str = "you may not connect to this pod any more";

pub(super) struct Task {
    pub(super) client: Arc<Client>,
    pub(super) identity: Arc<Identity>,
    pub(super) restrictions: Arc<Restrictions>,
    /// The login name that says where to.
    pub(super) login_name: String,
    /// In a jump, the login name of the inner connection, which may name a container.
    pub(super) inner: Option<String>,
    pub(super) endpoint: Endpoint,
    /// Cancelled when the client closes the channel, or goes.
    pub(super) closed: CancellationToken,
}

/// Why no connection stands, for the client and for the records.
struct Refused {
    code: ChannelOpenFailure,
    line: String,
    /// `None` if nobody refused it, but it failed.
    by: Option<RefusedBy>,
}

impl Refused {
    fn by(by: RefusedBy, line: impl ToString) -> Self {
        let code = match by {
            RefusedBy::Limit => ChannelOpenFailure::ResourceShortage,
            RefusedBy::Restriction | RefusedBy::Rule => {
                ChannelOpenFailure::AdministrativelyProhibited
            }
            // A pod that one may not enter looks like one that is not there.
            _ => ChannelOpenFailure::ConnectFailed,
        };
        let (line, by) = (line.to_string(), Some(by));
        Self { code, line, by }
    }

    fn failed(code: ChannelOpenFailure, line: impl ToString) -> Self {
        let (line, by) = (line.to_string(), None);
        Self { code, line, by }
    }

    /// As the agent says it.
    fn agent(reason: Reason, line: String) -> Self {
        let code = match reason {
            Reason::Denied | Reason::Grant | Reason::Unsupported => {
                ChannelOpenFailure::AdministrativelyProhibited
            }
            Reason::Full => ChannelOpenFailure::ResourceShortage,
            _ => ChannelOpenFailure::ConnectFailed,
        };
        Self::failed(code, line)
    }
}

impl Task {
    pub(super) async fn run(self, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        match id::random() {
            Ok(id) => {
                let span = tracing::info_span!("forward", %id, user = %self.identity.user);
                self.forward(&id, channel, reply).instrument(span).await;
            }
            // Dropping the reply refuses the channel.
            Err(error) => tracing::error!(%error, "no random numbers"),
        }
        self.closed.cancel();
    }

    /// Carries the forward to its end, and tells everybody of it.
    async fn forward(&self, id: &str, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let context = &self.client.context;
        let address = self.endpoint.to_string();
        let from = (self.client.peer, self.client.via, self.login_name.as_str());
        let audit = &context.audit;
        let action = Action::Dial(self.endpoint.dial(&context.forwards));
        let what = (&action, address.as_str());
        let record = audit::Session::forward(audit, id, &self.identity, from, what);
        let slot = match self.admit() {
            Ok(slot) => slot,
            Err(refused) => return self.refuse(refused, &record, reply).await,
        };
        context.metrics.forwards_active.inc();
        let end = tokio::select! {
            end = self.carry(id, (channel, reply), action, &record) => end,
            end = self.cut_short() => end,
        };
        context.metrics.forwards_active.dec();
        drop(slot);
        tracing::info!(address, outcome = end.word(), "forward ends");
        context.metrics.sessions.count(v1::Action::Dial, end.word());
        record.ended(end.word(), None, end.line());
    }

    /// Checks what needs no lookup.
    fn admit(&self) -> Result<ForwardSlot, Refused> {
        let (client, context) = (&self.client, &self.client.context);
        let checked = self.endpoint.check(&self.restrictions, &context.forwards);
        checked.map_err(|refusal| Refused::by(RefusedBy::Restriction, refusal))?;
        let slot = match client.slot.get() {
            Some(Err(full)) => Err(*full),
            _ => context.quotas.forward(&self.identity.user),
        };
        slot.map_err(|full| {
            client.refused(full.limit());
            Refused::by(RefusedBy::Limit, full)
        })
    }

    /// Tells the client and the records that no connection stands.
    async fn refuse(
        &self,
        refused: Refused,
        record: &audit::Session<'_>,
        reply: ChannelOpenHandle,
    ) {
        let Refused { code, line, by } = refused;
        tracing::info!(address = %self.endpoint, reason = line, "forward refused");
        if let Some(by) = by {
            record.refused(by, &line);
        }
        let (code, reason) = (code.code(), line);
        reply
            .reject(ChannelOpenFailure::Other { code, reason })
            .await;
    }

    /// Waits until something outside of the forward ends it.
    async fn cut_short(&self) -> End {
        tokio::select! {
            () = self.client.ended.cancelled() => End::ClientGone,
            () = self.client.context.stopped.cancelled() => {
                End::Stopped("this frontdoor is being stopped".to_owned())
            }
            () = self.client.revoked.cancelled() => End::Revoked(recheck::REASON.to_owned()),
        }
    }

    /// Connects, and carries the connection to its end.
    async fn carry(
        &self,
        id: &str,
        (channel, reply): (Channel<Msg>, ChannelOpenHandle),
        action: Action,
        record: &audit::Session<'_>,
    ) -> End {
        // Boxed, so that a forward that stands does not hold its memory.
        let opened = match Box::pin(self.open(id, action, record)).await {
            Ok(opened) => opened,
            Err(refused) => return self.not_open(refused, record, reply).await,
        };
        let open::Opened {
            stream,
            rights,
            pod_slot: _pod_slot,
            notice: _,
            // A forward has none of its own.
            recording: _,
            gate: _,
        } = opened;
        let Stream {
            to_agent,
            mut from_agent,
        } = stream;
        let flow = Flow::default();
        // Opened, the end of output and the end take places beside the credit.
        let (queue, mut waiting) = mpsc::channel(MAX_WAITING + 3);
        let mut receiving = pin!(receive(&mut from_agent, queue, &flow, Carries::Connection));
        if let Err(refused) = stands(&mut waiting, receiving.as_mut()).await {
            return self.not_open(refused, record, reply).await;
        }
        let mark = format!("podgate: forward to {}, session {id}", self.endpoint);
        self.client.tapes.mark(&mark).await;
        reply.accept().await;
        let (mut read, write) = channel.split();
        let end = tokio::select! {
            end = self.download(waiting, &write, &to_agent, &flow.output, record) => end,
            error = receiving => End::Failed(error.to_string()),
            () = self.upload(&mut read, &to_agent, &flow.input, record) => End::ClientGone,
            () = rights.lost() => End::Revoked(REVOKED.to_owned()),
        };
        self.closed.cancel();
        // The client may have closed it already.
        let _ = write.close().await;
        end
    }

    async fn not_open(
        &self,
        refused: Refused,
        record: &audit::Session<'_>,
        reply: ChannelOpenHandle,
    ) -> End {
        let line = refused.line.clone();
        self.refuse(refused, record, reply).await;
        End::Failed(line)
    }

    /// Takes all steps up to the agent.
    async fn open(
        &self,
        id: &str,
        action: Action,
        record: &audit::Session<'_>,
    ) -> Result<open::Opened, Refused> {
        let context = &self.client.context;
        let target = Target::parse(&self.login_name, &context.sessions.default_namespace);
        let target = target.map_err(|error| Refused::by(RefusedBy::Route, error))?;
        let ids = Ids {
            session: id,
            connection: &self.client.id,
        };
        let inner = self.inner.as_deref();
        let opened = open::open(context, &self.identity, &target, ids, action, inner, record);
        opened.await.map_err(|error| {
            if let Some(limit) = error.limit() {
                self.client.refused(limit);
            }
            let line = open::sentence(&error);
            match error.refused_by() {
                Some(by) => Refused::by(by, line),
                None => Refused::failed(ChannelOpenFailure::ConnectFailed, line),
            }
        })
    }

    /// From the pod to the client.
    async fn download(
        &self,
        mut waiting: mpsc::Receiver<Result<Received, Error>>,
        write: &ChannelWriteHalf<Msg>,
        to_agent: &mpsc::Sender<FrontdoorMessage>,
        credit: &flow::Receiver,
        record: &audit::Session<'_>,
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
                record.gave(length);
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
        record: &audit::Session<'_>,
    ) {
        let idle = Idle::new(None);
        let context = &self.client.context;
        let sending = async {
            let sent =
                pump::upload(read, to_agent, credit, context, (&idle, record, None, None)).await;
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

/// Waits until the agent says that the connection stands.
async fn stands(
    waiting: &mut mpsc::Receiver<Result<Received, Error>>,
    receiving: Pin<&mut impl Future<Output = Error>>,
) -> Result<(), Refused> {
    let heard = tokio::select! {
        heard = waiting.recv() => heard,
        error = receiving => Some(Err(error)),
    };
    match heard {
        Some(Ok(Received::Opened(_))) => Ok(()),
        Some(Ok(Received::Failed { reason, line })) => Err(Refused::agent(reason, line)),
        Some(Err(error)) => Err(Refused::failed(ChannelOpenFailure::ConnectFailed, error)),
        Some(Ok(_)) | None => Err(Refused::failed(
            ChannelOpenFailure::ConnectFailed,
            Error::Misplaced,
        )),
    }
}
