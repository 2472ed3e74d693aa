//! A client's connection from accept to end: key exchange, login within the grace time, and its
//! channels' tasks, which it outlives. One that jumps runs inside such a task, and is the same.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::Disconnect;
use russh::server::{self, RunningSession};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admit::Accepted;
use super::handler::Connection;
use super::jump::Jump;
use super::{id, proxied, recheck, socket};
use crate::agents::Agents;
use crate::audit::{Audit, Event, Way};
use crate::authn::{Authenticator, Login};
use crate::authz::Authorizer;
use crate::config::{Limits, Sessions};
use crate::metrics::Metrics;
use crate::places::{Connected, Full, Places, Start};
use crate::route::Router;

/// For a connection's last words, once it is told to end.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Its key in the configuration.
pub(super) const GRACE: &str = "loginGraceSeconds";
/// Why nobody logged in, as the audit log has it.
const UNKNOWN: &str = "no key or certificate that is known was shown";

/// What all connections of one core share.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) ssh: Arc<server::Config>,
    pub(crate) limits: Limits,
    pub(crate) places: Arc<Places>,
    pub(crate) sessions: Sessions,
    pub(crate) authenticator: Arc<Authenticator>,
    /// How often what let someone in is looked at again.
    pub(crate) recheck: Duration,
    pub(crate) authorizer: Authorizer,
    pub(crate) router: Router,
    pub(crate) agents: Agents,
    pub(crate) audit: Arc<Audit>,
    pub(crate) metrics: Arc<Metrics>,
    /// Cancelled when no session may begin any more.
    pub(crate) draining: CancellationToken,
    /// Cancelled when those that run must end.
    pub(crate) stopped: CancellationToken,
}

/// One connected client.
pub(super) struct Client {
    /// What agents know its connection by.
    pub(super) id: String,
    /// Where it connects from.
    pub(super) peer: SocketAddr,
    /// How it got here.
    pub(super) way: Way,
    pub(super) worker: Arc<Worker>,
    /// Its channels' tasks.
    pub(super) channels: TaskTracker,
    /// The login name that was tried first without a word in the audit log.
    pub(super) tried: OnceLock<String>,
    /// Who is there, from the login on.
    pub(super) login: OnceLock<Login>,
    /// Its place among those that have logged in, or why it has none.
    pub(super) place: OnceLock<Result<Connected, Full>>,
    /// Cancelled at the login.
    pub(super) logged_in: CancellationToken,
    /// Cancelled when what let them in does not hold any more.
    pub(super) revoked: CancellationToken,
    /// Cancelled when the connection is gone.
    pub(super) ended: CancellationToken,
    /// Where it leads, if it runs inside another.
    pub(super) jump: Option<Jump>,
}

impl Client {
    pub(super) fn new(
        peer: SocketAddr,
        worker: Arc<Worker>,
        revoked: CancellationToken,
        jump: Option<Jump>,
    ) -> Result<Self, getrandom::Error> {
        let way = jump.as_ref().map_or(Way::Direct, |_| Way::Jump);
        Ok(Self {
            id: id::random()?,
            peer,
            way,
            worker,
            channels: TaskTracker::new(),
            tried: OnceLock::new(),
            login: OnceLock::new(),
            place: OnceLock::new(),
            logged_in: CancellationToken::new(),
            revoked,
            ended: CancellationToken::new(),
            jump,
        })
    }

    /// Logs and counts that a limit, named by its key, refused or ended something.
    pub(super) fn refused(&self, limit: &'static str) {
        tracing::info!(peer = %self.peer, limit, "refused");
        self.worker.metrics.refused(limit);
    }

    /// Records a login, or a try. A loss is counted where it comes about.
    pub(super) fn record(&self, event: Event<'_>, login: &str) {
        let target = self.jump.as_ref().map_or(login, |jump| &jump.target);
        let event = event.from(self.peer, self.way, target);
        let _ = self.worker.audit.record(&event);
    }

    /// Records that nobody logged in, though somebody tried: keys that are not known are not proved.
    fn record_tried(&self) {
        if let Some(login) = self.tried.get() {
            self.record(Event::refused(None, UNKNOWN), login);
        }
    }
}

/// Serves one core's connections until there are no more and the last is gone.
pub(crate) async fn serve(mut accepted: mpsc::Receiver<Accepted>, worker: Arc<Worker>) {
    let connections = TaskTracker::new();
    while let Some(connection) = accepted.recv().await {
        connections.spawn(connect(connection, Arc::clone(&worker)));
    }
    connections.close();
    connections.wait().await;
}

async fn connect(accepted: Accepted, worker: Arc<Worker>) {
    worker.metrics.connections.inc();
    let grace = sleep(worker.limits.login_grace);
    if let Err(error) = attend_to(accepted, &worker, grace).await {
        tracing::warn!(%error, "a connection cannot be used");
    }
    worker.metrics.connections.dec();
}

async fn attend_to(accepted: Accepted, worker: &Arc<Worker>, grace: Sleep) -> io::Result<()> {
    tokio::pin!(grace);
    let Accepted {
        stream,
        peer,
        start,
        proxied,
    } = accepted;
    let stream = TcpStream::from_std(stream)?;
    socket::tune(&stream);
    let (stream, peer, start) = if proxied {
        match proxied::client(stream, peer, worker, grace.as_mut()).await {
            Some((stream, client, place)) => {
                drop(start);
                (stream, client, place)
            }
            None => return Ok(()),
        }
    } else {
        (stream, peer, start)
    };
    let socket = stream.as_fd().try_clone_to_owned()?;
    let revoked = CancellationToken::new();
    let client = Client::new(peer, Arc::clone(worker), revoked, None);
    let client = Arc::new(client.map_err(io::Error::other)?);
    let cut = || {
        // It may be shut down already.
        let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
    };
    converse(stream, &client, grace, start, cut).await;
    Ok(())
}

/// Speaks SSH on a stream, until nothing of the connection is left. `cut` ends the stream.
pub(super) async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: &Arc<Client>,
    mut grace: Pin<&mut Sleep>,
    start: Start,
    cut: impl FnOnce(),
) {
    let worker = &client.worker;
    let handler = Connection::new(Arc::clone(client), client.ended.clone());
    let greeted = tokio::select! {
        greeted = server::run_stream(Arc::clone(&worker.ssh), stream, handler) => greeted,
        () = grace.as_mut() => {
            client.refused(GRACE);
            Err(russh::Error::ConnectionTimeout)
        }
        () = worker.draining.cancelled() => Err(russh::Error::Disconnect),
    };
    match greeted {
        Ok(session) => attend(session, client, grace, start).await,
        Err(error) => {
            drop(start);
            tracing::debug!(%error, "no SSH");
        }
    }
    // russh goes on by itself with a peer that holds a key exchange open; the stream's end ends it.
    cut();
    if !client.logged_in.is_cancelled() {
        tracing::info!(peer = %client.peer, "connection ended without a login");
        worker.metrics.login("none");
        client.record_tried();
    }
    let _ = timeout(LAST_WORDS, client.ended.cancelled()).await;
    client.ended.cancel();
    client.channels.close();
    client.channels.wait().await;
}

/// Waits for a connection's end, and brings it about where the grace or the frontdoor's own end does.
async fn attend(
    mut session: RunningSession<Connection>,
    client: &Client,
    grace: Pin<&mut Sleep>,
    start: Start,
) {
    let ungraceful = async move {
        tokio::select! {
            () = grace => {}
            () = client.logged_in.cancelled() => {
                drop(start);
                std::future::pending().await
            }
        }
    };
    let drained = async {
        client.worker.draining.cancelled().await;
        without_sessions(client).await;
    };
    let crowded = async {
        client.logged_in.cancelled().await;
        match client.place.get() {
            Some(Err(full)) => {
                // What it asks for first is answered by the reason.
                sleep(LAST_WORDS).await;
                without_sessions(client).await;
                *full
            }
            _ => std::future::pending().await,
        }
    };
    let revoked = async {
        recheck::login(client).await;
        without_sessions(client).await;
    };
    let reason = tokio::select! {
        ended = &mut session => {
            if let Err(error) = ended {
                if matches!(error, russh::Error::KeepaliveTimeout) {
                    client.refused("keepalives");
                }
                tracing::debug!(%error, "connection ended");
            }
            return;
        }
        () = ungraceful => {
            client.refused(GRACE);
            "no login in time".to_owned()
        }
        full = crowded => full.to_string(),
        () = drained => "this frontdoor is being stopped".to_owned(),
        () = revoked => recheck::REASON.to_owned(),
    };
    let handle = session.handle();
    let goodbye = async {
        // A connection that is gone meanwhile is what is wanted.
        let _ = handle
            .disconnect(Disconnect::ByApplication, reason, String::new())
            .await;
        let _ = session.await;
    };
    let _ = timeout(LAST_WORDS, goodbye).await;
}

/// Waits until no session is left, where none may begin.
async fn without_sessions(client: &Client) {
    client.channels.close();
    client.channels.wait().await;
    // A client whose last session is over goes by itself. Told to go at the same moment, it would
    // report that instead of its session's status.
    sleep(LAST_WORDS).await;
}
