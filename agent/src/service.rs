//! The gRPC service: one call a session. It reads what is asked for, holds it against the grant, has
//! it started, and hangs up what stays behind.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use podgate_proto::limits::PROTOCOL_VERSION;
use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use podgate_proto::v1::agent_server::Agent;
use podgate_proto::v1::failed::Reason;
use podgate_proto::v1::frontdoor_message::Message as FromFrontdoor;
use podgate_proto::v1::{Action, AgentMessage, Exec, FrontdoorMessage, Open, Opened, open};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

use crate::grant::{self, Deny, Granted};
use crate::kubelet;
use crate::metrics::Metrics;
use crate::program::{NotStarted, Programs};
use crate::refusal::Refusal;
use crate::session::{self, End};

/// Messages to a frontdoor that wait in this process; with the stream's window all that a session
/// whose reader stalls can hold.
const OUTBOUND: usize = 4;
/// From the stream's begin to its first message, which the frontdoor sends with it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// What all cores share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// This node's name.
    pub node: String,
    /// Its own rules.
    pub deny: Deny,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
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

#[tonic::async_trait]
impl Agent for Service {
    type SessionStream = ReceiverStream<Result<AgentMessage, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<FrontdoorMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (outbound, messages) = mpsc::channel(OUTBOUND);
        let this = self.clone();
        let inbound = request.into_inner();
        self.shared
            .sessions
            .spawn(async move { this.serve(inbound, outbound).await });
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

impl Service {
    async fn serve(self, mut inbound: Streaming<FrontdoorMessage>, outbound: session::Outbound) {
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
        let outcome = self.session(open, inbound, outbound).instrument(span).await;
        metrics.sessions_active.dec();
        metrics.sessions.get_or_create(&outcome.into()).inc();
    }

    /// Runs one session; answers its outcome for the metrics.
    async fn session(
        self,
        open: Open,
        mut inbound: Streaming<FrontdoorMessage>,
        outbound: session::Outbound,
    ) -> &'static str {
        let begun = Instant::now();
        let refuse = async |refusal: Refusal| {
            tracing::warn!(error = %refusal.cause, "session refused");
            // A frontdoor that is gone needs no telling.
            let failed = session::failed(refusal.reason, refusal.message);
            let _ = outbound.send(Ok(failed)).await;
        };
        let (id, user, granted, exec) = match self.admit(open) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                refuse(refusal).await;
                return "refused";
            }
        };
        // A start is never abandoned half way, lest its program is left behind: a frontdoor that
        // leaves meanwhile is noticed after it, and one that does not want to wait is told so.
        // Boxed, as is the end: a session that runs keeps none of what they need.
        let mut program = match Box::pin(self.programs.start(granted, &id, &exec)).await {
            Ok(started) => started,
            Err(NotStarted { error, rest }) => {
                refuse(error.into()).await;
                Box::pin(rest.end()).await;
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
                let place = program.handle.container();
                tokio::select! {
                    // In its place, lest the future has room for it twice.
                    end = session::run(
                        (&mut program.input, &mut program.output),
                        &place,
                        &mut inbound,
                        &outbound,
                        &self.shared.stopped,
                        &self.shared.metrics.bytes,
                    ) => end,
                    () = program.handle.attend() => End::Abandoned,
                }
            }
        };
        tracing::info!(?end, "session ends");
        let (outcome, over) = match end {
            End::Exited(_) => ("exited", true),
            End::NotStarted => ("refused", true),
            End::Gone => ("gone", true),
            End::Broken(_) => ("broken", false),
            End::Stopped => ("stopped", false),
            End::Abandoned => ("abandoned", false),
        };
        if over {
            program.ended();
        } else {
            Box::pin(program.hang_up()).await;
        }
        outcome
    }

    /// The session's id, its user, what is granted, and what is asked for.
    fn admit(&self, open: Open) -> Result<(String, String, Granted, Exec), Refusal> {
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
        let identity = open
            .grant
            .as_ref()
            .and_then(|grant| grant.identity.as_ref());
        let user = identity
            .map(|identity| identity.user.clone())
            .unwrap_or_default();
        let now = SystemTime::now();
        let granted = grant::check(
            open.grant,
            action,
            &self.shared.node,
            &self.shared.deny,
            now,
        )
        .map_err(kubelet::Error::from)?;
        match open.action {
            Some(open::Action::Exec(exec)) => Ok((id, user, granted, exec)),
            _ => Err(Refusal::unsupported()),
        }
    }
}
