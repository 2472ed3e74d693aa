//! Connections in a pod that a frontdoor asks for (`ssh -L`, `-D`, `-W`), and listeners there with theirs
//! (`ssh -R`, `ssh -A`). They are no programs.

mod bind;
mod dial;
mod listener;
mod listening;
mod maker;
mod makers;
mod refused;
mod request;
mod resolve;
mod socket;
mod throttled;
mod waiting;
mod words;

use std::sync::Arc;

use podgate_proto::v1::agent_message::Message as ToFrontdoor;
use podgate_proto::v1::{Accept, Opened};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::grant::Granted;
use crate::metrics::{Metrics, Moved};
use crate::rates::Throttles;
use crate::refusal::Refusal;
use crate::runtime::dialer::Dialer;
use crate::session::{self, End, Outbound};

use dial::Dials;
pub(crate) use makers::Makers;
use request::DialRequest;
pub(crate) use request::{ForwardRequest, ListenRequest};
use socket::Socket;
use throttled::throttled;
use waiting::Owner;
pub(crate) use waiting::Waiting;

/// What has made a socket that is no kubelet's, in audit events.
const WORKER: &str = "direct";

/// Opens and carries connections, and listens.
#[derive(Clone, Debug)]
pub(crate) struct Forwards {
    dials: Dials,
    waiting: Waiting,
    throttles: Arc<Throttles>,
    metrics: Arc<Metrics>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a> {
    user: &'a str,
    /// The client's SSH connection.
    connection: &'a str,
    session: &'a str,
}

impl<'a> Who<'a> {
    pub(crate) fn new(user: &'a str, connection: &'a str, session: &'a str) -> Self {
        Self {
            user,
            connection,
            session,
        }
    }
}

/// How it ended, and what has opened it.
type Outcome = (&'static str, Option<&'static str>);

impl Forwards {
    /// By the kubelet, and where there is a node entry by workers.
    pub(crate) fn new(
        kubelet: Arc<dyn Dialer>,
        makers: Option<Arc<Makers>>,
        (waiting, throttles): (Waiting, Arc<Throttles>),
        metrics: Arc<Metrics>,
    ) -> Self {
        let dials = Dials { kubelet, makers };
        Self {
            dials,
            waiting,
            throttles,
            metrics,
        }
    }

    /// Does what is asked for, to its end.
    pub(crate) async fn serve(
        &self,
        (asked, request): ((&Granted, Who<'_>), &ForwardRequest),
        opened: Opened,
        streams: (impl Stream<Item = session::Message> + Unpin, Outbound),
        rest: (&CancellationToken, &Moved<'_>),
    ) -> Outcome {
        match request {
            ForwardRequest::Dial(request) => self.dial(asked, request, opened, streams, rest).await,
            ForwardRequest::Listen(request) => {
                self.listen(asked, request, opened, streams, rest.0).await
            }
            ForwardRequest::Accept(accept) => {
                self.accept(asked, accept, opened, streams, rest).await
            }
        }
    }

    /// Opens a connection, and carries it to its end.
    async fn dial(
        &self,
        (granted, who): (&Granted, Who<'_>),
        request: &DialRequest,
        opened: Opened,
        (inbound, outbound): (impl Stream<Item = session::Message> + Unpin, Outbound),
        rest: (&CancellationToken, &Moved<'_>),
    ) -> Outcome {
        let dialled = tokio::select! {
            // Boxed, so that a connection that stands does not hold its memory.
            dialled = Box::pin(self.dials.dial(granted, request, (who.user, who.connection))) => dialled,
            // A connection that nobody waits for any more is left at once.
            () = outbound.closed() => return (End::Abandoned.word(), None),
        };
        let (connection, by) = match dialled {
            Ok(dialled) => dialled,
            Err(error) => {
                self.metrics.dials.get_or_create(&"failed".into()).inc();
                return refuse(&outbound, error.into()).await;
            }
        };
        self.metrics.dials.get_or_create(&by.into()).inc();
        let asked = (granted, who);
        let end = self.carry(asked, connection, opened, (inbound, outbound), rest);
        (end.await.word(), Some(by))
    }

    /// Takes a connection of a listener, and carries it to its end.
    async fn accept(
        &self,
        (granted, who): (&Granted, Who<'_>),
        Accept {
            listener,
            connection,
        }: &Accept,
        opened: Opened,
        (inbound, outbound): (impl Stream<Item = session::Message> + Unpin, Outbound),
        rest: (&CancellationToken, &Moved<'_>),
    ) -> Outcome {
        let owner = Owner::new(granted, who);
        let taken = self.waiting.take(listener, *connection, &owner);
        let taken = taken.and_then(|socket| Socket::accepted(socket).ok());
        let outcome = if taken.is_some() { "taken" } else { "gone" };
        self.metrics.accepts.get_or_create(&outcome.into()).inc();
        let Some(socket) = taken else {
            let text = "the connection in the pod is gone: it was not taken in time";
            return refuse(&outbound, Refusal::not_listening(text.to_owned())).await;
        };
        let connection = socket.into_connection();
        let asked = (granted, who);
        let end = self.carry(asked, connection, opened, (inbound, outbound), rest);
        (end.await.word(), Some(WORKER))
    }

    async fn carry(
        &self,
        (granted, who): (&Granted, Who<'_>),
        connection: Connection,
        opened: Opened,
        (inbound, outbound): (impl Stream<Item = session::Message> + Unpin, Outbound),
        (stopped, moved): (&CancellationToken, &Moved<'_>),
    ) -> End {
        let end = match session::tell(&outbound, ToFrontdoor::Opened(opened)).await {
            Err(_) => End::Abandoned,
            Ok(()) => {
                let gone = self.dials.kubelet.until_gone(granted);
                let throttles = self.throttles.session(who.user);
                let connection = throttled(connection, throttles);
                session::carry(connection, gone, inbound, &outbound, stopped, moved).await
            }
        };
        tracing::info!(?end, "connection ends");
        end
    }

    /// Listens until the frontdoor has enough. A socket's path is removed before this returns.
    async fn listen(
        &self,
        (granted, who): (&Granted, Who<'_>),
        request: &ListenRequest,
        opened: Opened,
        (inbound, outbound): (impl Stream<Item = session::Message> + Unpin, Outbound),
        stopped: &CancellationToken,
    ) -> Outcome {
        let (makers, metrics) = (self.dials.makers.as_deref(), &*self.metrics);
        let ids = (who.user, who.connection);
        // It is not left half way: a path could stay.
        let bound = bind::bind(makers, granted, request, ids).await;
        let outcome = if bound.is_ok() { "bound" } else { "failed" };
        metrics.listens.get_or_create(&outcome.into()).inc();
        let bound = match bound {
            Ok(bound) => bound,
            Err(error) => return refuse(&outbound, error.into()).await,
        };
        let opened = Opened {
            bound: Some(bound.address.clone()),
            ..opened
        };
        metrics.listeners_active.inc();
        let line = self.waiting.line(who.session, Owner::new(granted, who));
        let end = match session::tell(&outbound, ToFrontdoor::Opened(opened)).await {
            Err(_) => End::Abandoned,
            Ok(()) => {
                let gone = self.dials.kubelet.until_gone(granted);
                let (sockets, rest) = ((&*bound.listeners, &line), (stopped, metrics));
                listening::serve(sockets, gone, inbound, &outbound, rest).await
            }
        };
        drop(line);
        if !matches!(end, End::Gone) {
            bound.remove(makers, granted, ids).await;
        }
        metrics.listeners_active.dec();
        tracing::info!(?end, "listener ends");
        (end.word(), Some(WORKER))
    }
}

impl Owner {
    fn new(granted: &Granted, who: Who<'_>) -> Self {
        Self {
            user: who.user.to_owned(),
            connection: who.connection.to_owned(),
            granted: granted.clone(),
        }
    }
}

async fn refuse(outbound: &Outbound, refusal: Refusal) -> Outcome {
    let Refusal {
        reason,
        message,
        cause,
    } = refusal;
    tracing::info!(error = %cause, "no connection stands");
    session::last_words(outbound, reason, &message).await;
    (End::NotStarted.word(), None)
}
