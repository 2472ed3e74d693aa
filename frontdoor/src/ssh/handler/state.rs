//! One connection's handler: what it knows, and how its channels' tasks are started.

use std::sync::Arc;

use russh::server::{ChannelOpenHandle, Msg, Session};
use russh::{Channel, ChannelId};
use tokio_util::sync::DropGuard;

use crate::audit::Event;
use crate::authn::Login;
use crate::authn::presence::Presence;
use crate::ssh::actor::Actor;
use crate::ssh::auth::Attempts;
use crate::ssh::channels::{Aside, Channels, Opening};
use crate::ssh::client::Client;
use crate::ssh::destination::Endpoint;
use crate::ssh::listen_requests::ListenRequests;
use crate::ssh::rekeys::Rekeys;
use crate::ssh::{forward, jump, session};

/// A channel, with what its task begins with.
pub(in crate::ssh) enum Opened {
    Session(session::Task, Channel<Msg>, Aside),
    Jump(jump::Task, Channel<Msg>),
    /// Not open yet: the answer is the task's.
    Forward(forward::Task, Channel<Msg>, ChannelOpenHandle),
}

/// The handler of one connection.
pub(in crate::ssh) struct ConnectionHandler {
    pub(super) client: Arc<Client>,
    pub(super) attempts: Attempts,
    /// What a hardware-backed key has said with the signature that was verified last.
    pub(super) presence: Option<Presence>,
    pub(super) channels: Channels,
    pub(super) listen_requests: ListenRequests,
    #[cfg_attr(
        stock_russh,
        allow(dead_code, reason = "the published russh does not ask")
    )]
    pub(super) rekeys: Rekeys,
    /// Whether a client over its limit of connections has opened the session that says so.
    told: bool,
    /// Starts the task of a channel; the connection owns it.
    pub(super) start: fn(&Client, Opened),
    /// russh drops its handler when the connection is gone.
    _ended: DropGuard,
}

impl ConnectionHandler {
    pub(in crate::ssh) fn new(client: Arc<Client>, start: fn(&Client, Opened)) -> Self {
        let limits = &client.context.limits;
        let most = limits.channels_per_connection;
        let rekeys = Rekeys::new(limits.rekeys_per_minute);
        let ended = client.ended.clone();
        Self {
            client,
            attempts: Attempts::default(),
            presence: None,
            channels: Channels::new(most, ended.clone()),
            listen_requests: ListenRequests::default(),
            rekeys,
            told: false,
            start,
            _ended: ended.drop_guard(),
        }
    }

    /// Whether the client may open one more channel.
    pub(super) fn opening(
        &mut self,
        id: ChannelId,
        login: &Login,
        forward: bool,
    ) -> Option<Opening> {
        let client = &self.client;
        if client.is_over_limit() && std::mem::replace(&mut self.told, true) {
            return None;
        }
        let place = forward.then(|| client.forward_place()).transpose();
        let opening = place.and_then(|place| {
            let opening = self.channels.opening(id, forward)?;
            if let Some(place) = place {
                let closed = opening.closed.clone();
                client.tasks.spawn(async move {
                    closed.cancelled().await;
                    drop(place);
                });
            }
            Ok(opening)
        });
        match opening {
            Err(full) => {
                client.refused(full.limit());
                let reason = full.to_string();
                let event = Event::channel_refused(&login.identity, &reason);
                client.record(event, self.attempts.login_name());
                None
            }
            Ok(opening) if client.may_begin() => Some(opening),
            Ok(opening) => {
                self.channels.refuse(&opening);
                None
            }
        }
    }

    /// Who acts, and where to.
    pub(super) fn actor(&self, login: &Login) -> Actor {
        let name = self.attempts.login_name().to_owned();
        let (login_name, inner) = match &self.client.jump {
            None => (name, None),
            Some(jump) => (jump.target.clone(), Some(name)),
        };
        Actor {
            client: Arc::clone(&self.client),
            identity: Arc::clone(&login.identity),
            restrictions: Arc::clone(&login.restrictions),
            login_name,
            inner,
        }
    }

    /// Starts a forward, which answers the client itself.
    pub(super) fn forward(
        &mut self,
        (login, endpoint): (&Login, Endpoint),
        opening: Opening,
        (channel, reply): (Channel<Msg>, ChannelOpenHandle),
    ) {
        let task = forward::Task {
            actor: self.actor(login),
            endpoint,
            closed: self.channels.forward(opening),
        };
        (self.start)(&self.client, Opened::Forward(task, channel, reply));
    }

    pub(super) fn may_have_pty(&self) -> bool {
        let login = self.client.login.get();
        login.is_some_and(|login| login.restrictions.pty)
    }

    pub(super) fn answer(
        channel: ChannelId,
        yes: bool,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if yes {
            session.channel_success(channel)
        } else {
            session.channel_failure(channel)
        }
    }
}
