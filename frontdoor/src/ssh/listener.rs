//! A listener in a pod (`ssh -R`, `ssh -A`), which lives until the client cancels it or goes. Each connection that comes to it has a channel of its own.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use podgate_proto::limits::MAX_INCOMING;
use podgate_proto::v1::frontdoor_message::Message as ToAgent;
use podgate_proto::v1::open::Action;
use podgate_proto::v1::{self, Decline, Incoming};
use russh::server::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::accepted::{self, Listening};
use super::actor::Actor;
use super::agent_messages::{Carries, Error, Flow, Received, receive};
use super::end::End;
use super::listen_at::ListenAt;
use super::refused::Refused;
use super::relay::{cut_short, stands};
use super::{id, open, pump};
use crate::agents::Stream;
use crate::audit::{self, RefusedBy};
use crate::authz::Rights;
use crate::login_name::Target;
use crate::quotas::ListenerSlot;
use crate::route::PodSlot;

/// How long the agent may take to end a listener that is cancelled.
const CANCELLED: Duration = Duration::from_secs(3);
/// What a user reads who has lost the right to listen.
const REVOKED: &str = "you may not listen in this pod any more";

/// Where it listens, or why it does not.
pub(super) type Told = oneshot::Sender<Result<ListenAt, String>>;

pub(super) struct Task {
    pub(super) actor: Actor,
    pub(super) at: ListenAt,
    /// In which container, if that is known already.
    pub(super) place: Option<open::Place>,
    /// Opens channels at the client.
    pub(super) connection: Handle,
    /// Cancelled once the client knows where it listens. It takes no connection before that.
    pub(super) answered: CancellationToken,
    /// Cancelled when the client wants it no more.
    pub(super) cancelled: CancellationToken,
    /// Cancelled by this once nothing listens any more.
    pub(super) over: CancellationToken,
}

impl Task {
    pub(super) async fn run(self, told: Told) {
        let _over = self.over.clone().drop_guard();
        match id::random() {
            Ok(id) => {
                let span = tracing::info_span!("listener", %id, user = %self.actor.identity.user);
                self.listen(&id, told).instrument(span).await;
            }
            Err(error) => tracing::error!(%error, "no random numbers"),
        }
    }

    /// Listens to the end, and tells everybody of it.
    async fn listen(&self, id: &str, told: Told) {
        let context = &self.actor.client.context;
        let address = self.at.to_string();
        let from = self.actor.from();
        let action = Action::Listen(self.at.listen(&context.forwards));
        let what = (&action, address.as_str());
        let record = audit::Session::forward(&context.audit, id, &self.actor.identity, from, what);
        let mut told = Some(told);
        let slot = match self.admit() {
            Ok(slot) => slot,
            Err(refused) => {
                self.refused(refused, &record, &mut told);
                return;
            }
        };
        let active = match self.at {
            ListenAt::Agent(_) => &context.metrics.agent_sockets_active,
            _ => &context.metrics.listeners_active,
        };
        active.inc();
        let end = tokio::select! {
            end = self.carry(id, &action, &record, &mut told) => end,
            end = cut_short(&self.actor.client) => end,
        };
        active.dec();
        drop(slot);
        tracing::info!(address, outcome = end.word(), "listener ends");
        let metrics = &context.metrics;
        metrics.sessions.count(v1::Action::Listen, end.word());
        record.ended(end.word(), None, end.line());
    }

    /// Checks what needs no lookup.
    fn admit(&self) -> Result<ListenerSlot, Refused> {
        let client = &self.actor.client;
        let checked = self.at.check(&self.actor.restrictions);
        checked.map_err(|refusal| Refused::by(RefusedBy::Restriction, refusal))?;
        let slot = client.context.quotas.listener(&self.actor.identity.user);
        slot.map_err(|full| {
            client.refused(full.limit());
            Refused::by(RefusedBy::Limit, full)
        })
    }

    /// Tells the client and the records that nothing listens.
    fn refused(
        &self,
        refused: Refused,
        record: &audit::Session<'_>,
        told: &mut Option<Told>,
    ) -> End {
        let Refused { line, by, .. } = refused;
        tracing::info!(address = %self.at, reason = line, "listener refused");
        if let Some(by) = by {
            record.refused(by, &line);
        }
        let notice = format!("{} does not listen in the pod: {line}", self.at);
        let notices = &self.actor.client.notices;
        notices.tell(notice, &self.connection);
        if let Some(told) = told.take() {
            // The client may be gone.
            let _ = told.send(Err(line.clone()));
        }
        End::Failed(line)
    }

    /// Has the agent listen, and passes on what comes.
    async fn carry(
        &self,
        id: &str,
        action: &Action,
        record: &audit::Session<'_>,
        told: &mut Option<Told>,
    ) -> End {
        let target = match self.actor.target() {
            Ok(target) => target,
            Err(error) => {
                return self.refused(Refused::by(RefusedBy::Route, error), record, told);
            }
        };
        let (stream, rights, place, _pod_slot) = match self.open(id, &target, action, record).await
        {
            Ok(opened) => opened,
            Err(error) => {
                return self.refused(Refused::step(&error, &self.actor.client), record, told);
            }
        };
        let Stream {
            to_agent,
            mut from_agent,
        } = stream;
        let flow = Flow::default();
        let (queue, mut waiting) = mpsc::channel(MAX_INCOMING);
        let mut receiving = pin!(receive(&mut from_agent, queue, &flow, Carries::Listener));
        let bound = stands(&mut waiting, receiving.as_mut()).await;
        let at = match bound.map(|bound| self.at.at(bound)) {
            Ok(Some(at)) => at,
            Ok(None) => return End::Failed(Error::Misplaced.to_string()),
            Err(refused) => return self.refused(refused, record, told),
        };
        if let Some(told) = told.take() {
            let _ = told.send(Ok(at.clone()));
        }
        let (decline, mut declined) = mpsc::channel(MAX_INCOMING);
        let listening = Arc::new(Listening {
            actor: self.actor.clone(),
            target,
            place,
            listener: id.to_owned(),
            action: action.clone(),
            at,
            connection: self.connection.clone(),
            decline,
        });
        let (end, stands) = tokio::select! {
            end = async {
                self.answered.cancelled().await;
                pass_on(&listening, &mut waiting).await
            } => (end, false),
            never = async {
                while let Some(connection) = declined.recv().await {
                    let decline = ToAgent::Decline(Decline { connection });
                    // `receive` notices if the stream is over.
                    let _ = pump::tell(&to_agent, decline).await;
                }
                std::future::pending().await
            } => never,
            error = receiving.as_mut() => (End::Failed(error.to_string()), false),
            () = rights.lost() => (End::Revoked(REVOKED.to_owned()), true),
            () = self.cancelled.cancelled() => (End::Closed, true),
        };
        drop(to_agent);
        if stands {
            // The agent ends the stream once nothing listens any more.
            let _ = timeout(CANCELLED, until_over(waiting, receiving)).await;
        }
        if let Some(line) = end.line() {
            let notice = format!("{} does not listen in the pod any more: {line}", self.at);
            self.actor.client.notices.tell(notice, &self.connection);
        }
        end
    }

    async fn open(
        &self,
        id: &str,
        target: &Target,
        action: &Action,
        record: &audit::Session<'_>,
    ) -> Result<(Stream, Rights, open::Place, Option<PodSlot>), open::Error> {
        let (context, inner) = (&self.actor.client.context, self.actor.inner.as_deref());
        let to = (&*self.actor.identity, target);
        let ids = self.actor.ids(id);
        if let Some(place) = &self.place {
            let what = (action, action.clone());
            let (stream, rights) = open::there(context, to, place, ids, what, record).await?;
            return Ok((stream, rights, place.clone(), None));
        }
        let found = open::find(context, to, action, inner, record).await?;
        let place = found.place.clone();
        let action = action.clone();
        let opened = open::start(context, found, &self.actor.identity, ids, action, record).await?;
        Ok((opened.stream, opened.rights, place, Some(opened.pod_slot)))
    }
}

/// Starts the task of each connection that comes.
async fn pass_on(
    listening: &Arc<Listening>,
    waiting: &mut mpsc::Receiver<Result<Received, Error>>,
) -> End {
    loop {
        match waiting.recv().await {
            Some(Ok(Received::Incoming(Incoming {
                connection,
                originator,
            }))) => accepted::begin(listening, connection, originator.unwrap_or_default()),
            Some(Ok(Received::Closed)) => return End::Closed,
            Some(Ok(Received::Failed { line, .. })) => return End::Failed(line),
            Some(Err(error)) => return End::Failed(error.to_string()),
            Some(Ok(_)) | None => return End::ClientGone,
        }
    }
}

async fn until_over(
    mut waiting: mpsc::Receiver<Result<Received, Error>>,
    receiving: Pin<&mut impl Future<Output = Error>>,
) {
    let over = async { while let Some(Ok(_)) = waiting.recv().await {} };
    tokio::select! {
        () = over => {}
        _ = receiving => {}
    }
}
