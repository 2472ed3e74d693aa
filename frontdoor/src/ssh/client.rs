//! A connected client: where it comes from, who it is once it has logged in, and tokens for its state.
//! Its connection, its handler and its channels' tasks share it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

#[cfg(not(stock_russh))]
use podgate_process::network::Network;
use russh::ChannelId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::agent_sockets::AgentSockets;
use super::context::Context;
use super::notices::Notices;
use super::open_tapes::OpenTapes;
use super::own_channels::{OwnChannel, OwnChannels};
use super::pre_auth_turns::Step;
use super::software::Software;
use super::unanswered::Unanswered;
use super::{channels, id};
use crate::audit::{Event, Via};
use crate::authn::Login;
use crate::quotas::{ConnectionSlot, Full, PreAuthSlot};

/// Why nobody logged in, as the audit log has it.
const UNKNOWN: &str = "no key or certificate that is known was shown";

pub(super) struct Client {
    /// The id of its connection, for agents.
    pub(super) id: String,
    /// Where it connects from.
    pub(super) peer: SocketAddr,
    /// Where it has connected to. In a jump, where the outer connection has.
    pub(super) server: SocketAddr,
    pub(super) via: Via,
    pub(super) context: Arc<Context>,
    pub(super) software: Software,
    /// The step that it has a turn for, until the login.
    pub(super) step: Step,
    /// Its channels' tasks.
    pub(super) tasks: TaskTracker,
    pub(super) tapes: OpenTapes,
    /// Tasks that end with it, and keep nothing from ending: its listeners.
    pub(super) background: TaskTracker,
    /// Places for forwarded connections.
    forwards: Arc<Semaphore>,
    /// Its ssh-agent in containers.
    pub(super) agent: AgentSockets,
    pub(super) notices: Notices,
    /// What it has asked about listeners.
    pub(super) unanswered: Arc<Unanswered>,
    /// Channels that this end has opened.
    own_channels: OwnChannels,
    /// The login name of the first attempt that is not in the audit log.
    pub(super) tried: OnceLock<String>,
    /// Set at the login.
    pub(super) login: OnceLock<Login>,
    /// Set at the login: its slot, or why there is none. Inside a jump the jump's task has the slot.
    pub(super) slot: OnceLock<Result<Option<ConnectionSlot>, Full>>,
    /// Cancelled at the login.
    pub(super) logged_in: CancellationToken,
    /// Cancelled when the key or certificate of its login is no longer valid.
    pub(super) revoked: CancellationToken,
    /// Cancelled when the connection is gone.
    pub(super) ended: CancellationToken,
    /// Set if the connection runs inside another.
    pub(super) jump: Option<Jump>,
}

/// The slot of a jump until its login, and its slot as a connection of its user, held to its end.
pub(super) type JumpSlots = (PreAuthSlot, ConnectionSlot);

/// What belongs to a connection that runs inside another (`ssh -J`).
pub(super) struct Jump {
    /// The login of the outer connection.
    pub(super) outer: Login,
    /// Where the channel leads, as a login name.
    pub(super) target: String,
}

impl Client {
    pub(super) fn new(
        (peer, server): (SocketAddr, SocketAddr),
        context: Arc<Context>,
        revoked: CancellationToken,
        jump: Option<Jump>,
    ) -> Result<Self, getrandom::Error> {
        let via = jump.as_ref().map_or(Via::Direct, |_| Via::Jump);
        Ok(Self {
            id: id::random()?,
            peer,
            server,
            via,
            software: Software::default(),
            step: Step::default(),
            tasks: TaskTracker::new(),
            tapes: OpenTapes::default(),
            background: TaskTracker::new(),
            forwards: Arc::new(Semaphore::new(context.limits.forwards_per_connection)),
            agent: AgentSockets::default(),
            notices: Notices::default(),
            unanswered: Arc::default(),
            own_channels: OwnChannels::default(),
            context,
            tried: OnceLock::new(),
            login: OnceLock::new(),
            slot: OnceLock::new(),
            logged_in: CancellationToken::new(),
            revoked,
            ended: CancellationToken::new(),
            jump,
        })
    }

    /// Runs the computation of the first key exchange apart from this thread, unless the connection ends before.
    #[cfg(not(stock_russh))]
    pub(super) async fn compute_elsewhere(&self, compute: Box<dyn FnOnce() + Send>) {
        self.step.ends(&self.context.turns);
        let address = Network::of(self.peer.ip());
        let exchanges = &self.context.key_exchanges;
        tokio::select! {
            () = exchanges.compute(address, compute) => {}
            () = self.ended.cancelled() => {}
        }
        self.step.begins();
    }

    /// A place for one more forwarded connection.
    pub(super) fn forward_place(&self) -> Result<OwnedSemaphorePermit, channels::Full> {
        let place = Arc::clone(&self.forwards).try_acquire_owned();
        place.map_err(|_| channels::Full::Forwards)
    }

    /// Enters a channel that this end has opened.
    pub(super) fn opened(&self, id: ChannelId) -> OwnChannel {
        self.own_channels.enter(id, self.ended.child_token())
    }

    /// The client has closed a channel, which this end may have opened.
    pub(super) fn closed(&self, id: ChannelId) {
        self.own_channels.close(id);
    }

    /// Whether it has logged in beyond a limit of connections. It is then only told so.
    pub(super) fn is_over_limit(&self) -> bool {
        matches!(self.slot.get(), Some(Err(_)))
    }

    /// Whether sessions may still start on this connection.
    pub(super) fn may_begin(&self) -> bool {
        !self.context.draining.is_cancelled() && !self.revoked.is_cancelled()
    }

    /// Slots for a jump inside this connection, and for the login inside it.
    pub(super) fn jump_slots(&self, login: &Login, login_name: &str) -> Result<JumpSlots, Full> {
        if let Some(Err(full)) = self.slot.get() {
            return Err(*full);
        }
        let slot = self.context.quotas.pre_auth(self.peer.ip());
        let slot = slot.inspect_err(|full| self.refused(full.limit()))?;
        Ok((slot, self.jump_slot(login, login_name)?))
    }

    /// Logs and counts that a limit refused or ended something. `limit` is its key in the configuration.
    pub(super) fn refused(&self, limit: &'static str) {
        tracing::info!(peer = %self.peer, limit, "refused");
        self.context.metrics.refused(limit);
    }

    /// Records a login, an attempt, or a refused channel. The audit log itself counts events that it
    /// loses.
    pub(super) fn record(&self, event: Event<'_>, login_name: &str) {
        let target = self.jump.as_ref().map_or(login_name, |jump| &jump.target);
        let event = event.from(self.peer, self.via, target);
        let _ = self.context.audit.record(&event);
    }

    /// A slot for a jump inside this connection. The jump counts from its opening on: it takes memory
    /// before anybody logs in inside.
    fn jump_slot(&self, login: &Login, login_name: &str) -> Result<ConnectionSlot, Full> {
        let slot = self.context.quotas.connection(&login.identity.user);
        slot.inspect_err(|full| {
            self.refused(full.limit());
            let reason = full.to_string();
            self.record(Event::channel_refused(&login.identity, &reason), login_name);
        })
    }

    /// Records that somebody tried to log in and nobody did. A client never proves a key that is not
    /// known, so no other event tells of it.
    pub(super) fn record_tried(&self) {
        if let Some(login_name) = self.tried.get() {
            self.record(Event::refused(None, UNKNOWN), login_name);
        }
    }
}
