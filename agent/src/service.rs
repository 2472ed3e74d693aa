//! The gRPC service: one call a session. It reads what is asked for, holds it against the grant, has
//! it started, and hangs up what stays behind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use podgate_proto::limits::PROTOCOL_VERSION;
use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use podgate_proto::v1::agent_server::Agent;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::frontdoor_message::Message as FromFrontdoor;
use podgate_proto::v1::{
    Action, AgentMessage, Exec, FrontdoorMessage, Identity, Open, Opened, open,
};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

use crate::audit::{Audit, Ended, Honoured};
use crate::grant::{self, Deny, Granted};
use crate::metrics::{Metrics, Moved};
use crate::program::{NotStarted, Programs};
use crate::refusal::Refusal;
use crate::session::{self, End};

/// Messages to a frontdoor that wait in this process; with the stream's window all that a session
/// whose reader stalls can hold.
const OUTBOUND: usize = 4;
/// From the stream's begin to its first message, which the frontdoor sends with it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// What is known of who connects; tonic has no public name for it.
type Peer = <TlsStream<TcpStream> as Connected>::ConnectInfo;

/// What all cores share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// This node's name.
    pub node: String,
    /// Its own rules.
    pub deny: Deny,
    /// Its own record.
    pub(crate) audit: Arc<Audit>,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// Places for sessions, until what they leave is over.
    pub(crate) places: Semaphore,
    /// Every session's task, and every hang-up's.
    pub sessions: TaskTracker,
    /// Cancelled when no session may begin any more.
    pub(crate) draining: CancellationToken,
    /// Cancelled when sessions must end.
    pub stopped: CancellationToken,
}

/// The service of one core.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    shared: Arc<Shared>,
    programs: Programs,
}

impl Service {
    /// A service that runs what it is granted.
    pub(crate) fn new(shared: Arc<Shared>, programs: Programs) -> Self {
        Self { shared, programs }
    }
}

/// A session that may be.
struct Admitted {
    id: String,
    identity: Identity,
    granted: Granted,
    exec: Exec,
}

#[tonic::async_trait]
impl Agent for Service {
    type SessionStream = ReceiverStream<Result<AgentMessage, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<FrontdoorMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (outbound, messages) = mpsc::channel(OUTBOUND);
        let this = self.clone();
        let from = request.extensions().get::<Peer>();
        let from = from.and_then(|peer| peer.get_ref().remote_addr());
        let inbound = request.into_inner();
        self.shared
            .sessions
            .spawn(async move { this.serve(inbound, outbound, from).await });
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

impl Service {
    async fn serve(
        self,
        mut inbound: Streaming<FrontdoorMessage>,
        outbound: session::Outbound,
        from: Option<SocketAddr>,
    ) {
        let opened = timeout(OPEN_TIMEOUT, inbound.next()).await;
        let Ok(Some(Ok(FrontdoorMessage {
            message: Some(FromFrontdoor::Open(open)),
        }))) = opened
        else {
            let refused = session::failed(Reason::Protocol, "the frontdoor asked for nothing");
            // A frontdoor that is gone needs no telling.
            let _ = outbound.send(Ok(refused)).await;
            return;
        };
        let id = open.session_id.clone();
        let span = tracing::info_span!("session", id = %id);
        let metrics = Arc::clone(&self.shared.metrics);
        metrics.sessions_active.inc();
        let outcome = self
            .session(open, inbound, outbound, from)
            .instrument(span)
            .await;
        metrics.sessions_active.dec();
        metrics.sessions.get_or_create(&outcome.into()).inc();
    }

    /// Runs one session; answers its outcome for the metrics.
    async fn session(
        self,
        open: Open,
        mut inbound: Streaming<FrontdoorMessage>,
        outbound: session::Outbound,
        from: Option<SocketAddr>,
    ) -> &'static str {
        let begun = Instant::now();
        let refuse = async |refusal: Refusal| {
            tracing::warn!(error = %refusal.cause, "session refused");
            // A frontdoor that is gone needs no telling.
            let failed = session::failed(refusal.reason, refusal.message);
            let _ = outbound.send(Ok(failed)).await;
        };
        let place = self.shared.places.try_acquire();
        let admitted = place.as_ref().map_err(|_| Refusal::full());
        let admitted = admitted.and_then(|_| self.admit(open));
        let admitted = admitted.and_then(|admitted| {
            let Admitted {
                id,
                identity,
                granted,
                ..
            } = &admitted;
            let honoured = Honoured::new(id, identity, granted, &self.shared.node, from);
            let recorded = self.shared.audit.honours(&honoured);
            recorded.map_err(|_| Refusal::unrecorded())?;
            Ok(admitted)
        });
        let Admitted {
            id,
            identity: Identity { user, .. },
            granted,
            exec,
        } = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                refuse(refusal).await;
                return "refused";
            }
        };
        let moved = Moved::new(&self.shared.metrics.bytes);
        let ended = |outcome, status| {
            let end = Ended::new(&id, outcome, status, moved.both(), begun.elapsed());
            self.shared.audit.ended(&end);
        };
        // A start is never abandoned half way, lest its program is left behind: a frontdoor that
        // leaves meanwhile is noticed after it, and one that does not want to wait is told so.
        // Boxed, as is the end: a session that runs keeps none of what they need.
        let mut program = match Box::pin(self.programs.start(granted, &id, &exec)).await {
            Ok(started) => started,
            Err(NotStarted { error, failed }) => {
                ended("refused", None);
                refuse(error.into()).await;
                Box::pin(failed.end()).await;
                return "refused";
            }
        };
        // A command may be long.
        drop(exec);
        self.shared.metrics.started(begun.elapsed());
        let granted = program.handle.granted();
        tracing::info!(
            user,
            namespace = %granted.namespace, pod = %granted.pod, container = %granted.container,
            "session begins"
        );
        let opened = AgentMessage {
            message: Some(ToFrontdoor::Opened(Opened {})),
        };
        let end = match outbound.send(Ok(opened)).await {
            Err(_) => End::Abandoned,
            Ok(()) => {
                let supervisor = program.handle.supervisor();
                let streams = &mut program.streams;
                tokio::select! {
                    // In its place, lest the future has room for it twice.
                    end = session::run(
                        (&mut *streams.input, &mut *streams.output),
                        &supervisor,
                        &mut inbound,
                        &outbound,
                        &self.shared.stopped,
                        &moved,
                    ) => end,
                    () = program.handle.attend() => End::Abandoned,
                }
            }
        };
        tracing::info!(?end, "session ends");
        let status = match end {
            End::Exited(status) => Some(status),
            _ => None,
        };
        let (outcome, over) = match end {
            End::Exited(_) => ("exited", true),
            End::NotStarted => ("refused", true),
            End::Gone => ("gone", true),
            End::Broken => ("broken", false),
            End::Stopped => ("stopped", false),
            End::Abandoned => ("abandoned", false),
        };
        ended(outcome, status);
        if over {
            program.ended();
        } else {
            Box::pin(program.hang_up()).await;
        }
        outcome
    }

    /// Holds what is asked for against the grant.
    fn admit(&self, open: Open) -> Result<Admitted, Refusal> {
        if self.shared.draining.is_cancelled() {
            return Err(Refusal::draining());
        }
        if open.protocol_version != PROTOCOL_VERSION {
            return Err(Refusal::version(open.protocol_version));
        }
        let id = open.session_id;
        // It is part of a command line, and of log lines.
        if id.len() != 32
            || !id
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Err(Refusal::protocol("the session's id is not 32 hex digits"));
        }
        let action = match &open.action {
            Some(open::Action::Exec(_)) => Action::Exec,
            Some(open::Action::Forward(_)) => Action::Forward,
            Some(open::Action::Listen(_)) => Action::Listen,
            Some(open::Action::Files(_)) => Action::Files,
            None => return Err(Refusal::protocol("the frontdoor asked for no action")),
        };
        let now = SystemTime::now();
        let (granted, identity) = grant::check(
            open.grant,
            action,
            &self.shared.node,
            &self.shared.deny,
            now,
        )
        .map_err(Refusal::from)?;
        match open.action {
            Some(open::Action::Exec(exec)) => Ok(Admitted {
                id,
                identity,
                granted,
                exec,
            }),
            _ => Err(Refusal::unsupported()),
        }
    }
}
