//! What russh asks of a connection: who may log in, and yes or no to each request. What a request
//! means is the channel's own task's to know; it hears of it in order with the data.

use std::sync::Arc;

use russh::keys::Certificate;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet, Pty, Sig};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::channels::Channels;
use super::connection::Client;
use super::jump::{self, Jump};
use super::session;
use crate::audit::Event;
use crate::authn::{Credential, Login, Verdict};

/// One connection's answers. Its end is the connection's.
pub(super) struct Connection {
    client: Arc<Client>,
    /// The login name.
    login: String,
    /// What it has proved of the two that it takes.
    earlier: Vec<Credential>,
    /// Tries to log in that failed.
    failed: usize,
    /// Whether it was asked which ways to log in there are.
    asked: bool,
    channels: Channels,
    _ended: DropGuard,
}

impl Connection {
    /// `ended` is cancelled when russh lets the connection go.
    pub(super) fn new(client: Arc<Client>, ended: CancellationToken) -> Self {
        Self {
            client,
            login: String::new(),
            earlier: Vec::new(),
            failed: 0,
            asked: false,
            channels: Channels::default(),
            _ended: ended.drop_guard(),
        }
    }

    /// Whether tries are left. russh, which counts for itself, may not have told the client yet.
    fn may_try(&self) -> bool {
        self.failed < self.client.worker.limits.auth_tries
    }

    /// Answers a credential whose signature is right. The login name says where to, the credential
    /// says who: any login name is let in.
    fn verified(&mut self, login: &str, credential: Credential) -> Auth {
        if !self.may_try() {
            return self.reject();
        }
        // Two steps are one login (RFC 4252 §5).
        if self.login != login {
            self.earlier.clear();
            self.login = login.to_owned();
        }
        let Client { peer, worker, .. } = &*self.client;
        let shown = credential.to_string();
        let verdict = worker
            .authenticator
            .verified(credential, &self.earlier, peer.ip());
        match verdict {
            Verdict::Refused(reason) => {
                tracing::info!(credential = shown, %reason, login, %peer, "login refused");
                let reason = reason.to_string();
                self.client
                    .record(Event::refused(Some(&shown), &reason), login);
                self.reject()
            }
            Verdict::Partial(earlier) => {
                tracing::info!(credential = shown, login, %peer, "login in part");
                self.earlier = earlier;
                Auth::Reject {
                    proceed_with_methods: Some(MethodSet::from(&[MethodKind::PublicKey][..])),
                    partial_success: true,
                }
            }
            Verdict::Login(verified) => self.let_in(verified),
        }
    }

    /// Lets someone in, in a jump only whom the connection around it has let in.
    fn let_in(&mut self, verified: Login) -> Auth {
        let (login, Client { peer, worker, .. }) = (&self.login, &*self.client);
        let to = self.client.jump.as_ref().map(|jump| jump.target.as_str());
        let credential = verified.proof.to_string();
        let verified = match self.client.jump.as_ref().map(|jump| jump.join(&verified)) {
            None => verified,
            Some(Ok(both)) => both,
            Some(Err(reason)) => {
                tracing::info!(credential, %reason, login, jump = to, %peer, "login refused");
                let reason = reason.to_string();
                let event = Event::refused(Some(&credential), &reason);
                self.client.record(event, login);
                return self.reject();
            }
        };
        let identity = &verified.identity;
        let place = worker.places.connection(&identity.user);
        if let Err(full) = place {
            self.client.refused(full.limit());
            let reason = full.to_string();
            let event = Event::refused(Some(&credential), &reason);
            self.client.record(event, login);
            let _ = self.client.place.set(Err(full));
            // It is let in to be told by its first session: a login that fails says nothing to its user.
            let _ = self.client.login.set(verified);
            self.client.logged_in.cancel();
            return Auth::Accept;
        }
        let _ = self.client.place.set(place);
        tracing::info!(
            user = identity.user, groups = ?identity.groups, source = identity.source.as_str(),
            credential, login, jump = to, %peer, "login"
        );
        worker.metrics.login("accepted");
        self.client
            .record(Event::accepted(identity, &credential), login);
        // russh lets nobody log in twice.
        let _ = self.client.login.set(verified);
        self.client.logged_in.cancel();
        Auth::Accept
    }

    /// Says no to a try. After the last, russh ends the connection at the next.
    fn reject(&mut self) -> Auth {
        self.failed += 1;
        if self.failed == self.client.worker.limits.auth_tries {
            self.client.refused("authTries");
        }
        Auth::reject()
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

impl Handler for Connection {
    type Error = russh::Error;

    /// How a client asks which ways there are (RFC 4252 §5.2). As at sshd, once is no try.
    async fn auth_none(&mut self, _login: &str) -> Result<Auth, Self::Error> {
        Ok(if std::mem::replace(&mut self.asked, true) {
            self.reject()
        } else {
            Auth::reject()
        })
    }

    async fn auth_password(&mut self, _login: &str, _password: &str) -> Result<Auth, Self::Error> {
        Ok(self.reject())
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _login: &str,
        _submethods: &str,
        _response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.reject())
    }

    async fn auth_openssh_certificate(
        &mut self,
        login: &str,
        certificate: &Certificate,
    ) -> Result<Auth, Self::Error> {
        let certificate = Credential::Certificate(Box::new(certificate.clone()));
        Ok(self.verified(login, certificate))
    }

    async fn auth_publickey_offered(
        &mut self,
        login: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        let (key, algorithm, peer) = (offer.public_key, offer.algorithm, self.client.peer.ip());
        let authenticator = &self.client.worker.authenticator;
        if self.may_try() && authenticator.offered(key, algorithm, peer) {
            return Ok(Auth::Accept);
        }
        let _ = self.client.tried.set(login.to_owned());
        Ok(self.reject())
    }

    async fn auth_publickey(
        &mut self,
        login: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.verified(login, Credential::Key(key.public_key.clone())))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        // russh lets nobody here before they are logged in; without a login there is no way on.
        let Some(login) = self.client.login.get() else {
            return Ok(());
        };
        if !self.channels.may_open(&self.client, login, &self.login) {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let (closed, signals) = self.channels.session(channel.id(), &self.client);
        reply.accept().await;
        let (login_name, inner) = match &self.client.jump {
            None => (self.login.clone(), None),
            Some(jump) => (jump.target.clone(), Some(self.login.clone())),
        };
        let task = session::Task {
            client: Arc::clone(&self.client),
            identity: Arc::clone(&login.identity),
            restrictions: Arc::clone(&login.restrictions),
            signals,
            login: login_name,
            inner,
            closed,
        };
        self.client.channels.spawn(task.run(channel));
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
        let Some(login) = self.client.login.get() else {
            return Ok(());
        };
        let client = &self.client;
        let jump = match Jump::parse(client, login, host, port) {
            Ok(jump) => jump,
            Err(refusal) => {
                tracing::info!(user = login.identity.user, host, port, reason = %refusal, "jump refused");
                reply.reject(refusal.into()).await;
                return Ok(());
            }
        };
        if !self.channels.may_open(client, login, &self.login) {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        if let Some(Err(full)) = client.place.get() {
            reply.reject(jump::Refusal::from(*full).into()).await;
            return Ok(());
        }
        let start = match client.worker.places.start(client.peer.ip()) {
            Ok(start) => start,
            Err(full) => {
                client.refused(full.limit());
                reply.reject(jump::Refusal::from(full).into()).await;
                return Ok(());
            }
        };
        let closed = self.channels.jump(channel.id(), client);
        reply.accept().await;
        let inside = jump::serve(channel, Arc::clone(client), jump, start, closed);
        client.channels.spawn(inside);
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
        _value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        Self::answer(channel, self.client.worker.sessions.accepts(name), session)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let first = self.channels.start(channel);
        Self::answer(channel, first, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let first = self.channels.start(channel);
        Self::answer(channel, first, session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }
}
