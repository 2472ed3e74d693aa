//! Answers russh's questions about a connection: yes or no to logins, channels and requests. What a
//! request means is decided in its channel's task, which reads it in order with the channel's data.

use std::sync::Arc;

use podgate_proto::v1::TerminalSize;
use russh::keys::Certificate;
#[cfg(not(stock_russh))]
use russh::keys::ssh_key::Signature;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty, Sig};
use tokio_util::sync::DropGuard;

use super::auth::Attempts;
use super::channels::{Aside, Channels, Opening};
use super::client::Client;
use super::destination::Destination;
use super::rekeys::Rekeys;
use super::request::SFTP;
use super::{forward, jump, session};
use crate::audit::Event;
use crate::authn::presence::Presence;
use crate::authn::{Credential, Login};

/// A channel, with what its task begins with.
pub(super) enum Opened {
    Session(session::Task, Channel<Msg>, Aside),
    Jump(jump::Task, Channel<Msg>),
    /// Not open yet: the answer is the task's.
    Forward(forward::Task, Channel<Msg>, ChannelOpenHandle),
}

/// The handler of one connection.
pub(super) struct ConnectionHandler {
    client: Arc<Client>,
    attempts: Attempts,
    /// What a hardware-backed key has said with the signature that was verified last.
    presence: Option<Presence>,
    channels: Channels,
    #[cfg_attr(
        stock_russh,
        allow(dead_code, reason = "the published russh does not ask")
    )]
    rekeys: Rekeys,
    /// Whether a client over its limit of connections has opened the session that says so.
    told: bool,
    /// Starts the task of a channel; the connection owns it.
    start: fn(&Client, Opened),
    /// russh drops its handler when the connection is gone.
    _ended: DropGuard,
}

impl ConnectionHandler {
    pub(super) fn new(client: Arc<Client>, start: fn(&Client, Opened)) -> Self {
        let limits = &client.context.limits;
        let most = (
            limits.channels_per_connection,
            limits.forwards_per_connection,
        );
        let rekeys = Rekeys::new(limits.rekeys_per_minute);
        let ended = client.ended.clone();
        Self {
            client,
            attempts: Attempts::default(),
            presence: None,
            channels: Channels::new(most, ended.clone()),
            rekeys,
            told: false,
            start,
            _ended: ended.drop_guard(),
        }
    }

    /// Whether the client may open one more channel.
    fn opening(&mut self, id: ChannelId, login: &Login, forward: bool) -> Option<Opening> {
        let client = &self.client;
        if client.is_over_limit() && std::mem::replace(&mut self.told, true) {
            return None;
        }
        match self.channels.opening(id, forward) {
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

    /// The login name that says where to, and in a jump that of the inner connection.
    fn names(&self) -> (String, Option<String>) {
        let name = self.attempts.login_name().to_owned();
        match &self.client.jump {
            None => (name, None),
            Some(jump) => (jump.target.clone(), Some(name)),
        }
    }

    fn may_have_pty(&self) -> bool {
        let login = self.client.login.get();
        login.is_some_and(|login| login.restrictions.pty)
    }

    fn answer(channel: ChannelId, yes: bool, session: &mut Session) -> Result<(), russh::Error> {
        if yes {
            session.channel_success(channel)
        } else {
            session.channel_failure(channel)
        }
    }
}

impl Handler for ConnectionHandler {
    type Error = russh::Error;

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(self.client.context.greetings.banner().await)
    }

    async fn auth_none(&mut self, _login_name: &str) -> Result<Auth, Self::Error> {
        Ok(self.attempts.none(&self.client))
    }

    async fn auth_password(
        &mut self,
        _login_name: &str,
        _password: &str,
    ) -> Result<Auth, Self::Error> {
        Ok(self.attempts.reject(&self.client))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _login_name: &str,
        _submethods: &str,
        _response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.attempts.reject(&self.client))
    }

    #[cfg(not(stock_russh))]
    fn signature_verified(&mut self, signature: &Signature) {
        self.presence = Presence::of(signature);
    }

    async fn auth_openssh_certificate(
        &mut self,
        login_name: &str,
        certificate: &Certificate,
    ) -> Result<Auth, Self::Error> {
        let certificate = Box::new(certificate.clone());
        let credential = Credential::Certificate(certificate, self.presence.take());
        Ok(self
            .attempts
            .verified(&self.client, login_name, credential)
            .await)
    }

    async fn auth_publickey_offered(
        &mut self,
        login_name: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self
            .attempts
            .offered(&self.client, login_name, &offer)
            .await)
    }

    async fn auth_publickey(
        &mut self,
        login_name: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let credential = Credential::Key(key.public_key.clone(), self.presence.take());
        Ok(self
            .attempts
            .verified(&self.client, login_name, credential)
            .await)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let client = Arc::clone(&self.client);
        // russh asks this only after the login.
        let Some(login) = client.login.get() else {
            return Ok(());
        };
        let Some(opening) = self.opening(channel.id(), login, false) else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        reply.accept().await;
        let (closed, aside) = self.channels.session(opening);
        let (login_name, inner) = self.names();
        let task = session::Task {
            client: Arc::clone(&client),
            identity: Arc::clone(&login.identity),
            restrictions: Arc::clone(&login.restrictions),
            login_name,
            inner,
            closed,
            connection: session.handle(),
        };
        (self.start)(&client, Opened::Session(task, channel, aside));
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let client = Arc::clone(&self.client);
        let Some(login) = client.login.get() else {
            return Ok(());
        };
        let names = (login, self.attempts.login_name());
        let destination = match Destination::of(&client, names, host, port) {
            Ok(destination) => destination,
            Err(refusal) => {
                tracing::info!(user = login.identity.user, host, port, reason = %refusal, "jump refused");
                reply.reject(refusal.into()).await;
                return Ok(());
            }
        };
        let forward = matches!(destination, Destination::Forward(_));
        let Some(opening) = self.opening(channel.id(), login, forward) else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let jump = match destination {
            Destination::Jump(jump) => jump,
            Destination::Forward(endpoint) => {
                let (login_name, inner) = self.names();
                let task = forward::Task {
                    client: Arc::clone(&client),
                    identity: Arc::clone(&login.identity),
                    restrictions: Arc::clone(&login.restrictions),
                    login_name,
                    inner,
                    endpoint,
                    closed: self.channels.forward(opening),
                };
                (self.start)(&client, Opened::Forward(task, channel, reply));
                return Ok(());
            }
        };
        let slots = match client.jump_slots(login, self.attempts.login_name()) {
            Ok(slots) => slots,
            Err(full) => {
                self.channels.refuse(&opening);
                reply.reject(jump::JumpRefusal::from(full).into()).await;
                return Ok(());
            }
        };
        reply.accept().await;
        let closed = self.channels.jump(opening);
        let task = jump::Task {
            outer: Arc::clone(&client),
            jump,
            slots,
            closed,
        };
        (self.start)(&client, Opened::Jump(task, channel));
        Ok(())
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.signal(channel, signal);
        Ok(())
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        rows: u32,
        _width: u32,
        _height: u32,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels
            .resize(channel, TerminalSize { columns, rows });
        Ok(())
    }

    #[cfg(not(stock_russh))]
    async fn channel_end_of_write(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.unread(channel);
        Ok(())
    }

    #[cfg(not(stock_russh))]
    async fn rekey_requested(&mut self) -> Result<(), Self::Error> {
        self.rekeys.turn(&self.client).await
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.close(channel);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let early = self.channels.is_early(channel);
        Self::answer(channel, early && self.may_have_pty(), session)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let sessions = &self.client.context.sessions;
        Self::answer(channel, sessions.takes(name, value), session)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        Self::answer(channel, self.channels.start(channel), session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        Self::answer(channel, self.channels.start(channel), session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let yes = name == SFTP && self.channels.start(channel);
        Self::answer(channel, yes, session)
    }
}
