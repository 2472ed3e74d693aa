//! A client's connection from accept to end: key exchange, login within the grace time, and the tasks of
//! its channels, which it owns and outlives. A jump's channel carries a connection of the same kind.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use russh::server::{self, Msg, RunningSession};
use russh::{Channel, Disconnect};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admit::{Accepted, GRACE};
use super::client::Client;
use super::context::Context;
use super::grace::Grace;
use super::handler::{ConnectionHandler, Opened};
use super::pre_auth_stream::PreAuthStream;
use super::socket::QuickAck;
use super::tunnel::Tunnel;
use super::{admit, channels, jump, proxied, recheck, socket};
use crate::quotas::PreAuthSlot;

/// For a connection's last words, once it is told to end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long a client over its limit of connections has to ask for a session, which is then told why.
const TOLD: Duration = Duration::from_secs(8);

/// What sshd says to a client that does not speak SSH.
const NO_IDENTIFICATION: &str = "Invalid SSH identification string.";

/// Serves one core's connections until there are no more and the last is gone.
pub(crate) async fn serve(mut accepted: mpsc::Receiver<Accepted>, context: Arc<Context>) {
    let connections = TaskTracker::new();
    let connect_all = async {
        while let Some(connection) = accepted.recv().await {
            connections.spawn(connect(connection, Arc::clone(&context)));
        }
        connections.close();
        connections.wait().await;
    };
    tokio::select! {
        () = connect_all => {}
        () = context.turns.give() => {}
    }
}

async fn connect(accepted: Accepted, context: Arc<Context>) {
    context.metrics.connections.inc();
    if let Err(error) = outer(accepted, &context).await {
        tracing::warn!(%error, "a connection cannot be used");
    }
    context.metrics.connections.dec();
}

/// A connection over TCP.
async fn outer(accepted: Accepted, context: &Arc<Context>) -> io::Result<()> {
    let grace = Grace::new(context);
    let Accepted {
        stream,
        peer,
        slot,
        proxied,
    } = accepted;
    let stream = TcpStream::from_std(stream)?;
    socket::tune(&stream, context.limits.silence());
    let server = stream.local_addr()?;
    let (stream, ends, slot) = if proxied {
        match proxied::client(stream, (peer, server), context, &grace).await {
            Some((stream, ends, its_slot)) => {
                drop(slot);
                (stream, ends, its_slot)
            }
            None => return Ok(()),
        }
    } else {
        (stream, (peer, server), slot)
    };
    let socket = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
    let socket = Arc::new(socket);
    let revoked = CancellationToken::new();
    let client = Client::new(ends, Arc::clone(context), revoked, None);
    let client = Arc::new(client.map_err(io::Error::other)?);
    let cut = |words: Option<&str>| {
        if let Some(words) = words {
            admit::tell(&socket, words);
        }
        // It may be shut down already.
        let _ = socket.shutdown(std::net::Shutdown::Both);
    };
    let same = Arc::clone(&socket);
    let acknowledge = move || socket::acknowledge(&*same);
    let stream = QuickAck::new(stream, client.logged_in.clone(), acknowledge);
    converse(stream, &client, &grace, slot, cut).await;
    Ok(())
}

/// A connection inside a channel of another. If either ends, so does the other.
async fn inner(task: jump::Task, channel: Channel<Msg>) {
    let jump::Task {
        outer,
        jump,
        slots: (slot, _connection),
        closed,
    } = task;
    let cut = closed.child_token();
    let (read, write) = channel.split();
    let silence = outer.context.limits.silence();
    let stream = Tunnel::new(read, write.make_writer(), &cut, silence);
    let (context, revoked) = (Arc::clone(&outer.context), outer.revoked.child_token());
    let ends = (outer.peer, outer.server);
    match Client::new(ends, context, revoked, Some(jump)) {
        Ok(client) => {
            let (client, context) = (Arc::new(client), &outer.context);
            context.metrics.jumps.inc();
            let grace = Grace::new(context);
            converse(stream, &client, &grace, slot, |_| cut.cancel()).await;
            context.metrics.jumps.dec();
        }
        Err(error) => tracing::error!(%error, "no random numbers"),
    }
    channels::close(&write, &closed).await;
}

/// Starts the task of a channel.
fn start(client: &Client, opened: Opened) {
    match opened {
        Opened::Session(task, channel, aside) => {
            client.tasks.spawn(task.run(channel, aside));
        }
        Opened::Jump(task, channel) => {
            client.tasks.spawn(inner(task, channel));
        }
        Opened::Forward(task, channel, reply) => {
            client.tasks.spawn(task.run(channel, reply));
        }
    }
}

/// Speaks SSH on a stream until the connection and all its tasks have ended. `cut` ends the stream; its
/// argument is a last line for a client that does not speak SSH.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: &Arc<Client>,
    grace: &Grace,
    slot: PreAuthSlot,
    cut: impl FnOnce(Option<&str>),
) {
    let context = &client.context;
    let handler = ConnectionHandler::new(Arc::clone(client), start);
    let settings = context.host.settings().await;
    let stream = PreAuthStream::new(stream, Arc::clone(client));
    let mut words = None;
    let greeted = tokio::select! {
        greeted = server::run_stream(settings, stream, handler) => greeted,
        () = grace.over() => {
            client.refused(GRACE);
            Err(russh::Error::ConnectionTimeout)
        }
        () = context.draining.cancelled() => Err(russh::Error::Disconnect),
    };
    match greeted {
        Ok(session) => attend(session, client, grace, slot).await,
        Err(error) => {
            drop(slot);
            words = matches!(error, russh::Error::Version).then_some(NO_IDENTIFICATION);
            tracing::debug!(%error, "no SSH");
        }
    }
    // russh goes on with a peer that never finishes a key exchange; the end of the stream stops it.
    cut(words);
    if !client.logged_in.is_cancelled() {
        tracing::info!(peer = %client.peer, "connection ended without a login");
        context.metrics.login("none");
        client.record_tried();
    }
    let _ = timeout(LAST_WORDS, client.ended.cancelled()).await;
    client.ended.cancel();
    for tasks in [&client.background, &client.tasks] {
        tasks.close();
        tasks.wait().await;
    }
}

/// Waits for the connection's end, or ends it.
async fn attend(
    mut session: RunningSession<ConnectionHandler>,
    client: &Client,
    grace: &Grace,
    slot: PreAuthSlot,
) {
    let reason = tokio::select! {
        ended = &mut session => {
            if let Err(error) = ended {
                if is_silence(&error) {
                    client.refused("keepalives");
                }
                tracing::debug!(%error, "connection ended");
            }
            return;
        }
        () = ungraceful(client, grace, slot) => {
            client.refused(GRACE);
            "no login in time".to_owned()
        }
        reason = over(client) => reason,
    };
    let handle = session.handle();
    let goodbye = async {
        // The connection may be gone already; then nothing needs to be done.
        let _ = handle
            .disconnect(Disconnect::ByApplication, reason, String::new())
            .await;
        let _ = session.await;
    };
    let _ = timeout(LAST_WORDS, goodbye).await;
}

/// Whether the client has left keepalives unanswered, or bytes untaken.
fn is_silence(error: &russh::Error) -> bool {
    match error {
        russh::Error::KeepaliveTimeout => true,
        russh::Error::IO(error) => error.kind() == io::ErrorKind::TimedOut,
        _ => false,
    }
}

/// Returns if nobody logs in within the grace time. Gives the slot back at the login, unless the client
/// is over its limit of connections: then this is its only slot.
async fn ungraceful(client: &Client, grace: &Grace, slot: PreAuthSlot) {
    tokio::select! {
        () = grace.over() => {}
        () = client.logged_in.cancelled() => {
            let _slot = client.is_over_limit().then_some(slot);
            std::future::pending().await
        }
    }
}

/// Returns when the connection must end and its sessions have ended, with the reason for its client.
async fn over(client: &Client) -> String {
    let drained = async {
        client.context.draining.cancelled().await;
        without_sessions(client).await;
    };
    let refused = async {
        client.logged_in.cancelled().await;
        match client.slot.get() {
            Some(Err(full)) => {
                // The client's first session, if it asks for one, ends with the reason. No other opens.
                sleep(LAST_WORDS).await;
                let _ = timeout(TOLD, without_sessions(client)).await;
                *full
            }
            _ => std::future::pending().await,
        }
    };
    let revoked = async {
        recheck::login(client).await;
        without_sessions(client).await;
    };
    // These wait at the same time: logins are still checked while the frontdoor drains.
    tokio::select! {
        full = refused => full.to_string(),
        () = drained => "this frontdoor is being stopped".to_owned(),
        () = revoked => recheck::REASON.to_owned(),
    }
}

/// Waits until no session is left. Call it when none can start any more.
async fn without_sessions(client: &Client) {
    client.tasks.close();
    client.tasks.wait().await;
    // After its last session a client leaves by itself. If it is told to leave at that moment, it
    // reports this instead of its session's status.
    sleep(LAST_WORDS).await;
}
