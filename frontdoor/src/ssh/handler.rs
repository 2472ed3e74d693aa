//! Answers russh's questions about a connection: yes or no to logins, channels and requests. What a
//! request means is decided in its channel's task, which reads it in order with the channel's data.

mod listen;
mod state;

use std::sync::Arc;

use podgate_proto::v1::TerminalSize;
use russh::keys::Certificate;
#[cfg(not(stock_russh))]
use russh::keys::ssh_key::Signature;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey,
};
#[cfg(not(stock_russh))]
use russh::server::{ListenerReply, ListenerRequest};
use russh::{Channel, ChannelId, Pty, Sig};

use super::channels::Full;
use super::destination::Destination;
use super::listen_at::ListenAt;
use super::listen_requests::Request;
use super::request::SFTP;
use super::{jump, session};
use crate::authn::Credential;
use crate::authn::presence::Presence;

pub(super) use state::{ConnectionHandler, Opened};

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
        client.software.says(session.remote_sshid());
        // russh asks this only after the login.
        let Some(login) = client.login.get() else {
            return Ok(());
        };
        let Some(opening) = self.opening(channel.id(), login, false) else {
            reply.reject(Full::Channels.into()).await;
            return Ok(());
        };
        reply.accept().await;
        let (closed, aside) = self.channels.session(opening);
        let task = session::Task {
            actor: self.actor(login),
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
            reply.reject(Full::of(forward).into()).await;
            return Ok(());
        };
        let jump = match destination {
            Destination::Jump(jump) => jump,
            Destination::Forward(endpoint) => {
                self.forward((login, endpoint), opening, (channel, reply));
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

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let client = Arc::clone(&self.client);
        let Some(login) = client.login.get() else {
            return Ok(());
        };
        match Destination::of_socket(&client, self.attempts.login_name(), path) {
            Err(refusal) => reply.reject(refusal.into()).await,
            Ok(endpoint) => match self.opening(channel.id(), login, true) {
                Some(opening) => self.forward((login, endpoint), opening, (channel, reply)),
                None => reply.reject(Full::Forwards.into()).await,
            },
        }
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
    async fn compute_key_exchange(&mut self, compute: Box<dyn FnOnce() + Send>) {
        self.client.compute_elsewhere(compute).await;
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
        self.client.closed(channel);
        Ok(())
    }

    #[cfg(not(stock_russh))]
    async fn listener_requested(
        &mut self,
        request: ListenerRequest<'_>,
        session: &mut Session,
    ) -> Result<Option<ListenerReply>, Self::Error> {
        let unix = |path: &str| ListenAt::Unix(path.to_owned());
        let request = match request {
            ListenerRequest::TcpIpForward { address, port } => Request::Listen(tcp(address, port)),
            ListenerRequest::CancelTcpIpForward { address, port } => {
                Request::Cancel(tcp(address, port))
            }
            ListenerRequest::StreamLocalForward { path } => Request::Listen(unix(path)),
            ListenerRequest::CancelStreamLocalForward { path } => Request::Cancel(unix(path)),
        };
        Ok(Some(self.ask(request, session.handle())))
    }

    #[cfg(stock_russh)]
    async fn tcpip_forward(
        &mut self,
        host: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let request = Request::Listen(tcp(host, *port));
        let bound = listen::port(self.ask(request, session.handle())).await;
        *port = bound.unwrap_or(*port);
        Ok(bound.is_some())
    }

    #[cfg(stock_russh)]
    async fn cancel_tcpip_forward(
        &mut self,
        host: &str,
        port: u32,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let request = Request::Cancel(tcp(host, port));
        let done = listen::port(self.ask(request, session.handle())).await;
        Ok(done.is_some())
    }

    #[cfg(stock_russh)]
    async fn streamlocal_forward(
        &mut self,
        path: &str,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let request = Request::Listen(ListenAt::Unix(path.to_owned()));
        let bound = listen::port(self.ask(request, session.handle())).await;
        Ok(bound.is_some())
    }

    #[cfg(stock_russh)]
    async fn cancel_streamlocal_forward(
        &mut self,
        path: &str,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let request = Request::Cancel(ListenAt::Unix(path.to_owned()));
        let done = listen::port(self.ask(request, session.handle())).await;
        Ok(done.is_some())
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

    async fn agent_request(
        &mut self,
        _channel: ChannelId,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(self.forward_agent(session.handle()))
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

fn tcp(host: &str, port: u32) -> ListenAt {
    let host = host.to_owned();
    ListenAt::Tcp { host, port }
}
