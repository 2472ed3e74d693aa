//! The gRPC service: one call a session. It has the request admitted, dispatches it by action, and
//! hangs up what stays behind.

mod inbound;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use podgate_proto::limits::RELEASE;
use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use podgate_proto::v1::agent_server::Agent;
use podgate_proto::v1::frontdoor_message::Message as FromFrontdoor;
use podgate_proto::v1::{Action, FrontdoorMessage, Open, Opened, open};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

use crate::activity::{Activity, NoActivity, Starts};
use crate::admit::{self, Admitted, Served};
use crate::answers::{Answers, Held};
use crate::audit::{AcceptedGrant, Audit, Ended};
use crate::files::Workers;
use crate::forward::{Forwards, Who};
use crate::grant::{Deny, Granted};
use crate::metrics::{Metrics, Moved};
use crate::program::Programs;
use crate::quotas::{Quotas, Slot};
use crate::rates::Throttles;
use crate::refusal::Refusal;
use crate::session::{self, End};
use crate::session_ids::SessionIds;
use inbound::Inbound;

/// Messages to a frontdoor that wait in this process. Together with the stream's window, they are all
/// that a session can hold while its reader stalls.
const OUTBOUND: usize = 4;
/// How long a frontdoor may take to send its first message, which it sends with the stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// What is known of who connects; tonic has no public name for it.
type Peer = <TlsStream<TcpStream> as Connected>::ConnectInfo;

/// What all cores share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub node: String,
    pub deny: Deny,
    pub(crate) audit: Arc<Audit>,
    pub metrics: Arc<Metrics>,
    pub(crate) quotas: Quotas,
    pub(crate) throttles: Arc<Throttles>,
    pub(crate) ids: SessionIds,
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
    /// Where there is a node entry.
    workers: Option<Workers>,
    forwards: Forwards,
}

impl Service {
    pub(crate) fn new(
        shared: Arc<Shared>,
        (programs, workers, forwards): (Programs, Option<Workers>, Forwards),
    ) -> Self {
        Self {
            shared,
            programs,
            workers,
            forwards,
        }
    }

    /// How many streams may be open on a connection.
    pub(crate) fn most_streams(&self) -> u32 {
        u32::try_from(self.shared.quotas.most()).unwrap_or(u32::MAX)
    }
}

struct Session<'a> {
    id: String,
    action: Action,
    user: String,
    begun: Instant,
    moved: Moved<'a>,
}

#[tonic::async_trait]
impl Agent for Service {
    type SessionStream = Answers;

    async fn session(
        &self,
        request: Request<Streaming<FrontdoorMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (outbound, messages) = mpsc::channel(OUTBOUND);
        let answers = Answers::new(messages);
        let this = self.clone();
        let from = request.extensions().get::<Peer>();
        let from = from.and_then(|peer| peer.get_ref().remote_addr());
        let ends = (&self.shared.sessions, &self.shared.stopped);
        let mut inbound = Inbound::new(request.into_inner(), ends);
        let mut opening = Opening {
            // A frontdoor sends what it asks for with the request, so it is there in most cases.
            first: poll_fn(|cx| {
                let first = Pin::new(&mut inbound).poll_next(cx);
                Poll::Ready(match first {
                    Poll::Ready(first) => Some(first),
                    Poll::Pending => None,
                })
            })
            .await,
            slot: None,
            held: answers.held(),
        };
        if opening.first.is_none() {
            let slot = self.shared.quotas.open().ok_or_else(|| self.overrun())?;
            opening.held.hold(&slot);
            opening.slot = Some(slot);
        }
        self.shared
            .sessions
            .spawn(async move { this.serve(opening, inbound, outbound, from).await });
        Ok(Response::new(answers))
    }
}

/// A stream whose first message is not known yet.
struct Opening {
    /// The first message, if it came with the stream. An inner `None` is the end of the stream.
    first: Option<Option<Result<FrontdoorMessage, Status>>>,
    /// The slot of a stream whose first message did not come with it.
    slot: Option<Slot>,
    /// What the session's answers hold until they are read.
    held: Held,
}

impl Service {
    async fn serve(
        self,
        mut opening: Opening,
        mut inbound: Inbound,
        outbound: session::Outbound,
        from: Option<SocketAddr>,
    ) {
        let first = match opening.first.take() {
            Some(first) => Ok(first),
            None => timeout(OPEN_TIMEOUT, inbound.next()).await,
        };
        let Ok(Some(Ok(FrontdoorMessage {
            message: Some(FromFrontdoor::Open(open)),
        }))) = first
        else {
            return self
                .refuse(opening, &outbound, Refusal::nothing_asked())
                .await;
        };
        // It is a part of log lines from here on.
        if !admit::is_id(&open.session_id) {
            return self.refuse(opening, &outbound, Refusal::session_id()).await;
        }
        let id = open.session_id.clone();
        let action = open.action.as_ref().map(open::Action::kind);
        let span = tracing::info_span!("session", id = %id);
        let metrics = Arc::clone(&self.shared.metrics);
        metrics.sessions_active.inc();
        let outcome = self
            .session(opening, *open, inbound, outbound, from)
            .instrument(span)
            .await;
        metrics.sessions_active.dec();
        metrics.sessions.count(action.unwrap_or_default(), outcome);
    }

    /// Runs one session to its end. Returns its outcome for the metrics.
    async fn session(
        self,
        opening: Opening,
        open: Open,
        inbound: Inbound,
        outbound: session::Outbound,
        from: Option<SocketAddr>,
    ) -> &'static str {
        let begun = Instant::now();
        let shared = Arc::clone(&self.shared);
        let admitted = self.admit(open).and_then(|admitted| {
            // Held until nothing is left of the session.
            let user = &admitted.identity.user;
            let slot = shared.quotas.claim(&admitted.served, user);
            let slot = slot.inspect_err(|full| shared.metrics.refused(full.limit()))?;
            let id = shared.ids.claim(&admitted.id)?;
            self.record(&admitted, from)?;
            Ok((admitted, (slot, id)))
        });
        let (admitted, held) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.refuse(opening, &outbound, refusal).await;
                return "refused";
            }
        };
        opening.held.hold(&held.0);
        drop(opening);
        let opened = Opened {
            version: admitted.version,
            release: RELEASE.to_owned(),
            bound: None,
        };
        let session = Session {
            id: admitted.id,
            action: admitted.served.kind(),
            user: admitted.identity.user,
            begun,
            moved: Moved::new(&shared.metrics.bytes),
        };
        let streams = (inbound, outbound);
        let (granted, served) = (admitted.granted, admitted.served);
        let outcome = match served {
            Served::Forward(request) => {
                let rest = (&shared.stopped, &session.moved);
                let who = Who::new(&session.user, &admitted.connection, &session.id);
                let asked = ((&granted, who), &request);
                let (outcome, by) = self.forwards.serve(asked, opened, streams, rest).await;
                self.ended(&session, by, outcome, None);
                outcome
            }
            served => self.run(&session, granted, served, opened, streams).await,
        };
        drop(held);
        outcome
    }

    /// Tells the frontdoor why there is no session. Until then the session counts as a request.
    async fn refuse(&self, opening: Opening, outbound: &session::Outbound, refusal: Refusal) {
        match opening.slot.or_else(|| self.shared.quotas.open()) {
            Some(slot) => {
                opening.held.hold(&slot);
                refuse(outbound, refusal).await;
                drop(slot);
            }
            None => {
                // A status without a message takes no window, so these cannot pile up.
                let _ = outbound.send(Err(self.overrun())).await;
            }
        }
    }

    fn overrun(&self) -> Status {
        let refused = &self.shared.metrics.refused_connections;
        refused.count("link", "openings");
        tracing::warn!("more requests for sessions than may wait");
        Status::resource_exhausted("too many requests for sessions wait on the pod's node")
    }

    /// Admits a session, unless none may begin any more.
    fn admit(&self, open: Open) -> Result<Admitted, Refusal> {
        if self.shared.draining.is_cancelled() {
            return Err(Refusal::draining());
        }
        admit::admit(open, &self.shared.node, &self.shared.deny)
    }

    /// Runs what was asked for to its end, and hangs up what stays behind.
    async fn run(
        &self,
        session: &Session<'_>,
        granted: Granted,
        served: Served,
        opened: Opened,
        (mut inbound, outbound): (Inbound, session::Outbound),
    ) -> &'static str {
        // A start is never abandoned half way, because its program would stay behind. Start and end are
        // boxed, so that a running session does not hold their memory.
        let started = Box::pin(self.start(session, &granted, served)).await;
        let mut activity = match started {
            Ok(started) => started,
            Err(NoActivity { refusal, failed }) => {
                self.ended(session, None, "refused", None);
                refuse(&outbound, refusal).await;
                if let Some(failed) = failed {
                    Box::pin(failed.end()).await;
                }
                return "refused";
            }
        };
        self.shared.metrics.started(session.begun.elapsed());
        tracing::info!(
            user = session.user, action = session.action.word(), runtime = activity.runtime(),
            namespace = %granted.namespace, pod = %granted.pod, container = %granted.container,
            "session begins"
        );
        let version = opened.version;
        let end = match session::tell(&outbound, ToFrontdoor::Opened(opened)).await {
            Err(_) => End::Abandoned,
            Ok(()) => {
                let (streams, supervisor, attendant) = activity.parts();
                tokio::select! {
                    // Built in place, so that the future is stored once.
                    end = session::run(
                        (&mut *streams.input, &mut *streams.output),
                        &supervisor,
                        &mut inbound,
                        (&outbound, version),
                        &self.shared.stopped,
                        &session.moved,
                    ) => end,
                    () = attendant.attend() => End::Abandoned,
                }
            }
        };
        tracing::info!(?end, "session ends");
        let runtime = Some(activity.runtime());
        self.ended(session, runtime, end.word(), end.status());
        // A hang-up takes time, and the frontdoor need not wait for it.
        drop((inbound, outbound));
        Box::pin(activity.end(end.is_over())).await;
        end.word()
    }

    /// Starts what was asked for.
    async fn start(
        &self,
        session: &Session<'_>,
        granted: &Granted,
        served: Served,
    ) -> Result<Activity, NoActivity> {
        let starts = Starts {
            programs: &self.programs,
            workers: self.workers.as_ref(),
            throttles: &self.shared.throttles,
            metrics: &self.shared.metrics,
        };
        let who = (session.user.as_str(), session.id.as_str());
        match served {
            Served::Exec(exec, folder) => {
                let program = starts.program(granted, who, (&exec, folder)).await;
                program.map(Activity::Program)
            }
            Served::Files(files, folder) => starts.files(granted, who, (&files, folder)).await,
            // `Forwards` carries it.
            Served::Forward(_) => Err(NoActivity {
                refusal: Refusal::unsupported(),
                failed: None,
            }),
        }
    }

    /// Records that a grant is accepted. If that fails, nothing starts.
    fn record(&self, admitted: &Admitted, from: Option<SocketAddr>) -> Result<(), Refusal> {
        let accepted = AcceptedGrant::new(
            &admitted.id,
            &admitted.identity,
            &admitted.granted,
            (admitted.served.kind(), admitted.served.address()),
            (&self.shared.node, from),
        );
        let recorded = self.shared.audit.accepted(&accepted);
        recorded.map_err(|_| Refusal::unrecorded())
    }

    fn ended(
        &self,
        session: &Session<'_>,
        runtime: Option<&'static str>,
        outcome: &'static str,
        status: Option<u8>,
    ) {
        let (moved, after) = (session.moved.both(), session.begun.elapsed());
        let end = Ended::new(&session.id, (outcome, status), runtime, moved, after);
        self.shared.audit.ended(&end);
    }
}

/// Tells the frontdoor why there is no session.
async fn refuse(outbound: &session::Outbound, refusal: Refusal) {
    tracing::warn!(error = %refusal.cause, "session refused");
    session::last_words(outbound, refusal.reason, &refusal.message).await;
}
