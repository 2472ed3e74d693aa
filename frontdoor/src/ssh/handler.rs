//! What russh asks of a connection: who may log in, and yes or no to each request. What a request
//! means is the channel's own task's to know; it hears of it in order with the data.

use std::collections::HashMap;
use std::sync::Arc;

use russh::keys::{Algorithm, Certificate};
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty, Sig};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::channel;
use super::connection::Client;
use crate::identity::Identity;

/// Signals of a channel that wait for its session to take them.
const SIGNALS: usize = 32;

/// One connection's answers. Its end is the connection's.
pub(super) struct Connection {
    client: Arc<Client>,
    identity: Option<Arc<Identity>>,
    login: String,
    /// Tries to log in that failed.
    failed: usize,
    /// Whether it was asked which ways to log in there are.
    asked: bool,
    channels: HashMap<ChannelId, State>,
    _ended: DropGuard,
}

struct State {
    /// Whether its shell or command was asked for.
    started: bool,
    /// Cancelled when the client closes the channel.
    closed: CancellationToken,
    /// To its session.
    signals: mpsc::Sender<Sig>,
}

impl Connection {
    /// `ended` is cancelled when russh lets the connection go.
    pub(super) fn new(client: Arc<Client>, ended: CancellationToken) -> Self {
        Self {
            client,
            identity: None,
            login: String::new(),
            failed: 0,
            asked: false,
            channels: HashMap::new(),
            _ended: ended.drop_guard(),
        }
    }

    fn find(&self, key: &russh::keys::PublicKey, algorithm: &Algorithm) -> Option<Arc<Identity>> {
        // russh, which counts for itself, may not have told the client yet.
        if self.failed >= self.client.worker.limits.auth_tries {
            return None;
        }
        self.client.worker.users.find(key, algorithm)
    }

    /// Says no to a try. After the last, russh ends the connection at the next.
    fn reject(&mut self) -> Auth {
        self.failed += 1;
        if self.failed == self.client.worker.limits.auth_tries {
            self.client.refused("authTries");
        }
        Auth::reject()
    }

    fn answer(channel: ChannelId, yes: bool, session: &mut Session) -> Result<(), russh::Error> {
        if yes {
            session.channel_success(channel)
        } else {
            session.channel_failure(channel)
        }
    }

    /// A shell or command may be asked for once a channel (RFC 4254 §6.5).
    fn start(&mut self, channel: ChannelId) -> bool {
        self.channels
            .get_mut(&channel)
            .is_some_and(|state| !std::mem::replace(&mut state.started, true))
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
        _login: &str,
        _certificate: &Certificate,
    ) -> Result<Auth, Self::Error> {
        Ok(self.reject())
    }

    async fn auth_publickey_offered(
        &mut self,
        _login: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(match self.find(offer.public_key, offer.algorithm) {
            Some(_) => Auth::Accept,
            None => self.reject(),
        })
    }

    async fn auth_publickey(
        &mut self,
        login: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        // The login name says where to, the key says who: any login name is let in.
        let Some(identity) = self.find(key.public_key, key.algorithm) else {
            return Ok(self.reject());
        };
        let (user, source, peer) = (&identity.user, identity.source.as_str(), self.client.peer);
        tracing::info!(user, source, login, %peer, "login");
        self.client.worker.metrics.login("accepted");
        self.login = login.to_owned();
        self.identity = Some(identity);
        self.client.logged_in.cancel();
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        // russh lets nobody here before they are logged in; without an identity there is no way on.
        let Some(identity) = &self.identity else {
            return Ok(());
        };
        // Not every closed channel is told of: one that this end closes first is not.
        self.channels
            .retain(|_, state| !state.closed.is_cancelled());
        let worker = &self.client.worker;
        let full = self.channels.len() >= worker.limits.channels_per_connection;
        if full {
            self.client.refused("channelsPerConnection");
        }
        if full || worker.draining.is_cancelled() {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let closed = self.client.ended.child_token();
        let (signals, wanted) = mpsc::channel(SIGNALS);
        let state = State {
            started: false,
            closed: closed.clone(),
            signals,
        };
        self.channels.insert(channel.id(), state);
        reply.accept().await;
        let task = channel::Task {
            client: Arc::clone(&self.client),
            identity: Arc::clone(identity),
            signals: wanted,
            login: self.login.clone(),
            closed,
        };
        self.client.channels.spawn(task.run(channel));
        Ok(())
    }

    /// Not through the channel, where it would wait behind input that nobody reads.
    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        // Another name than those of RFC 4254 §6.10 means nothing to any program.
        if let (Some(state), false) = (
            self.channels.get(&channel),
            matches!(signal, Sig::Custom(_)),
        ) && state.signals.try_send(signal).is_err()
        {
            tracing::debug!("a session that takes no signals was sent one more");
        }
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(state) = self.channels.remove(&channel) {
            state.closed.cancel();
        }
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
        let early = self
            .channels
            .get(&channel)
            .is_some_and(|state| !state.started);
        Self::answer(channel, early, session)
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
        let first = self.start(channel);
        Self::answer(channel, first, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let first = self.start(channel);
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
