//! A forward's channel (`ssh -L`, `-D`, `-W`): a connection to an address in the pod. As sshd does, the
//! channel is confirmed once the connection stands, and else refused with the reason. Each direction ends
//! by itself.

use podgate_proto::v1;
use podgate_proto::v1::open::Action;
use russh::Channel;
use russh::ChannelOpenFailure;
use russh::server::{ChannelOpenHandle, Msg};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::actor::Actor;
use super::destination::Endpoint;
use super::end::End;
use super::refused::Refused;
use super::relay::{Relay, cut_short};
use super::{id, open};
use crate::audit::{self, RefusedBy};
use crate::quotas::ForwardSlot;

pub(super) struct Task {
    pub(super) actor: Actor,
    pub(super) endpoint: Endpoint,
    /// Cancelled when the client closes the channel, or goes.
    pub(super) closed: CancellationToken,
}

impl Task {
    pub(super) async fn run(self, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        match id::random() {
            Ok(id) => {
                let span = tracing::info_span!("forward", %id, user = %self.actor.identity.user);
                self.forward(&id, channel, reply).instrument(span).await;
            }
            // Dropping the reply refuses the channel.
            Err(error) => tracing::error!(%error, "no random numbers"),
        }
        self.closed.cancel();
    }

    /// Carries the forward to its end, and tells everybody of it.
    async fn forward(&self, id: &str, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let context = &self.actor.client.context;
        let address = self.endpoint.to_string();
        let from = self.actor.from();
        let audit = &context.audit;
        let action = Action::Dial(self.endpoint.dial(&context.forwards));
        let what = (&action, address.as_str());
        let record = audit::Session::forward(audit, id, &self.actor.identity, from, what);
        let record = record.counting_bytes(&context.metrics.forward_bytes);
        let slot = match self.admit() {
            Ok(slot) => slot,
            Err(refused) => return self.refuse(refused, &record, reply).await,
        };
        context.metrics.forwards_active.inc();
        let end = tokio::select! {
            end = self.carry(id, (channel, reply), action, &record) => end,
            end = cut_short(&self.actor.client) => end,
        };
        context.metrics.forwards_active.dec();
        drop(slot);
        tracing::info!(address, outcome = end.word(), "forward ends");
        context.metrics.sessions.count(v1::Action::Dial, end.word());
        record.ended(end.word(), None, end.line());
    }

    /// Checks what needs no lookup.
    fn admit(&self) -> Result<ForwardSlot, Refused> {
        let (client, context) = (&self.actor.client, &self.actor.client.context);
        let checked = self
            .endpoint
            .check(&self.actor.restrictions, &context.forwards);
        checked.map_err(|refusal| Refused::by(RefusedBy::Restriction, refusal))?;
        let slot = match client.slot.get() {
            Some(Err(full)) => Err(*full),
            _ => context.quotas.forward(&self.actor.identity.user),
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
        let mark = format!("podgate: forward to {}, session {id}", self.endpoint);
        let relay = Relay {
            client: &self.actor.client,
            closed: &self.closed,
            record,
            mark: &mark,
        };
        let (mut read, write) = channel.split();
        let mut reply = Some(reply);
        let halves = (&mut read, &write);
        match (
            relay.carry((stream, &rights), halves, &mut reply).await,
            reply,
        ) {
            (Ok(end), _) => end,
            (Err(refused), Some(reply)) => self.not_open(refused, record, reply).await,
            (Err(refused), None) => End::Failed(refused.line),
        }
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
        let context = &self.actor.client.context;
        let target = self.actor.target();
        let target = target.map_err(|error| Refused::by(RefusedBy::Route, error))?;
        let ids = self.actor.ids(id);
        let inner = self.actor.inner.as_deref();
        let to = (&*self.actor.identity, &target);
        let opened = open::open(context, to, ids, action, inner, record).await;
        opened.map_err(|error| Refused::step(&error, &self.actor.client))
    }
}
