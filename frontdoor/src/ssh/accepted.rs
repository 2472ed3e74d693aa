//! A connection that came to a listener in a pod: a channel that this end opens at the client, and a stream of
//! its own at the agent. The agent is asked for it once the client has agreed.

use std::sync::Arc;

use podgate_proto::host_port::HostPort;
use podgate_proto::v1::open::Action;
use podgate_proto::v1::{self, Accept, TcpAddress};
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tracing::Instrument;

use super::actor::Actor;
use super::end::End;
use super::listen_at::ListenAt;
use super::relay::{Relay, cut_short};
use super::{id, open};
use crate::audit::{self, RefusedBy};
use crate::login_name::Target;
use crate::quotas::ForwardSlot;

/// A listener that stands.
pub(super) struct Listening {
    pub(super) actor: Actor,
    pub(super) target: Target,
    pub(super) place: open::Place,
    /// Its session's id.
    pub(super) listener: String,
    pub(super) action: Action,
    /// With the port that was bound.
    pub(super) at: ListenAt,
    /// Opens channels at the client.
    pub(super) connection: Handle,
    /// Has the agent close a connection.
    pub(super) decline: mpsc::Sender<u64>,
}

struct Task {
    listening: Arc<Listening>,
    /// Its number at the listener.
    connection: u64,
    originator: TcpAddress,
}

/// Starts the task of a connection, which is refused if there are too many.
pub(super) fn begin(listening: &Arc<Listening>, connection: u64, originator: TcpAddress) {
    let client = Arc::clone(&listening.actor.client);
    let task = Task {
        listening: Arc::clone(listening),
        connection,
        originator,
    };
    client.tasks.spawn(task.run());
}

impl Task {
    async fn run(self) {
        match id::random() {
            Ok(id) => {
                let user = &self.listening.actor.identity.user;
                let span = tracing::info_span!("forward", %id, %user);
                self.forward(&id).instrument(span).await;
            }
            Err(error) => tracing::error!(%error, "no random numbers"),
        }
        // If the agent does not have it any more, this does nothing. Without room it expires there.
        let _ = self.listening.decline.try_send(self.connection);
    }

    /// Carries the connection to its end, and tells everybody of it.
    async fn forward(&self, id: &str) {
        let listening = &*self.listening;
        let (client, context) = (&listening.actor.client, &listening.actor.client.context);
        let address = listening.at.to_string();
        let originator = match &self.originator {
            TcpAddress { host, .. } if host.is_empty() => String::new(),
            TcpAddress { host, port } => HostPort(host, *port).to_string(),
        };
        let from = listening.actor.from();
        let what = (&listening.action, address.as_str());
        let record =
            audit::Session::forward(&context.audit, id, &listening.actor.identity, from, what);
        let record = record.accepted(&originator);
        let record = record.counting_bytes(&context.metrics.forward_bytes);
        let slots = match self.admit() {
            Ok(slots) => slots,
            Err((limit, line)) => {
                client.refused(limit);
                return record.refused(RefusedBy::Limit, &line);
            }
        };
        context.metrics.forwards_active.inc();
        let end = tokio::select! {
            end = self.carry(id, &record) => end,
            end = cut_short(client) => end,
        };
        context.metrics.forwards_active.dec();
        drop(slots);
        tracing::info!(address, outcome = end.word(), "forward ends");
        let metrics = &context.metrics;
        metrics.sessions.count(v1::Action::Listen, end.word());
        record.ended(end.word(), None, end.line());
    }

    /// Places among the forwards of the connection and of the user.
    fn admit(&self) -> Result<(OwnedSemaphorePermit, ForwardSlot), (&'static str, String)> {
        let Listening {
            actor: Actor {
                client, identity, ..
            },
            ..
        } = &*self.listening;
        let place = client.forward_place();
        let place = place.map_err(|full| (full.limit(), full.to_string()))?;
        let slot = client.context.quotas.forward(&identity.user);
        let slot = slot.map_err(|full| (full.limit(), full.to_string()))?;
        Ok((place, slot))
    }

    async fn carry(&self, id: &str, record: &audit::Session<'_>) -> End {
        let listening = &*self.listening;
        let channel = match self.ask_client().await {
            Ok(channel) => channel,
            Err(russh::Error::ChannelOpenFailure(why)) => {
                let why = match why {
                    ChannelOpenFailure::AdministrativelyProhibited => "it is prohibited there",
                    ChannelOpenFailure::ConnectFailed => "it cannot connect",
                    _ => "it does not take it",
                };
                return End::Failed(format!("the ssh client refused the connection: {why}"));
            }
            Err(_) => return End::ClientGone,
        };
        let (mut read, write) = channel.split();
        let closed = listening.actor.client.opened(write.id());
        let accept = Accept {
            listener: listening.listener.clone(),
            connection: self.connection,
        };
        let to = (&*listening.actor.identity, &listening.target);
        let ids = listening.actor.ids(id);
        let context = &listening.actor.client.context;
        let what = (&listening.action, Action::Accept(accept));
        let opened = open::there(context, to, &listening.place, ids, what, record).await;
        let mark = format!("podgate: forward from {}, session {id}", listening.at);
        let relay = Relay {
            client: &listening.actor.client,
            closed: closed.token(),
            record,
            mark: &mark,
        };
        let failed = match opened {
            Ok((stream, rights)) => {
                let halves = (&mut read, &write);
                match relay.carry((stream, &rights), halves, &mut None).await {
                    Ok(end) => return end,
                    Err(refused) => refused.line,
                }
            }
            Err(error) => open::sentence(&error),
        };
        let _ = write.close().await;
        End::Failed(failed)
    }

    /// Opens the channel, with the address as the client has asked for it (RFC 4254 §7.2).
    async fn ask_client(&self) -> Result<Channel<Msg>, russh::Error> {
        let Listening { at, connection, .. } = &*self.listening;
        let TcpAddress { host, port } = self.originator.clone();
        match at.clone() {
            ListenAt::Tcp {
                host: asked,
                port: bound,
            } => {
                let opening = connection.channel_open_forwarded_tcpip(asked, bound, host, port);
                opening.await
            }
            ListenAt::Unix(path) => connection.channel_open_forwarded_streamlocal(path).await,
            ListenAt::Agent(_) => connection.channel_open_agent().await,
        }
    }
}
