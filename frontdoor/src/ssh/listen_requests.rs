//! What a client asks about listeners in pods (`ssh -R`). Requests begin in their order, and the connection
//! goes on meanwhile; russh keeps the answers in order. A cancel waits for what was asked before it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use russh::server::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::actor::Actor;
use super::destination::Destination;
use super::listen_at::ListenAt;
use super::listener;
use super::listeners::{Listener, Listeners, Refusal};
use super::unanswered::Pending;
use crate::audit::Event;

/// How long a client waits for a listener to stand, or to end, at the most.
const ANSWER: Duration = Duration::from_secs(15);
/// Bytes of a host or path. Longer ones are refused before they wait.
const MAX_NAME: usize = 1024;

pub(super) enum Request {
    Listen(ListenAt),
    Cancel(ListenAt),
}

/// Gets the port, or `None` if the request is refused. The sender with it is dropped once the client is told.
pub(super) type Answer = oneshot::Sender<Option<(u32, oneshot::Sender<()>)>>;

/// A request, and who waits for it.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) actor: Actor,
    /// Opens channels at the client.
    pub(super) connection: Handle,
    pub(super) answer: Answer,
    pub(super) pending: Pending,
}

/// The requests of one connection.
#[derive(Default)]
pub(super) struct ListenRequests(Option<mpsc::Sender<Asked>>);

impl ListenRequests {
    /// Has a request done.
    pub(super) fn ask(&mut self, asked: Asked) {
        let client = Arc::clone(&asked.actor.client);
        let queue = self.0.get_or_insert_with(|| {
            let most = client.context.limits.listeners_per_connection;
            // Each may be cancelled, too.
            let (queue, requests) = mpsc::channel(2 * most);
            let ended = client.ended.clone();
            client.background.spawn(async move {
                ended.run_until_cancelled(serve(requests, most)).await;
            });
            queue
        });
        if let Err(full) = queue.try_send(asked) {
            let asked = full.into_inner();
            client.refused(Listeners::LIMIT);
            refuse(&asked.actor, &asked.connection, Refusal::Full);
        }
    }
}

/// Does requests until the connection is gone.
async fn serve(mut requests: mpsc::Receiver<Asked>, most: usize) {
    let mut listeners = Listeners::new(most);
    let mut opening = FuturesUnordered::new();
    loop {
        let asked = tokio::select! {
            asked = requests.recv() => asked,
            Some((number, stands)) = opening.next() => {
                listeners.settle(number, stands);
                continue;
            }
        };
        let Some(asked) = asked else {
            return;
        };
        match &asked.request {
            Request::Listen(at) => {
                let at = at.clone();
                match admit(&mut listeners, &asked.actor, &at) {
                    Ok(listener) => opening.push(listen(asked, at, listener)),
                    Err(reason) => refuse(&asked.actor, &asked.connection, reason),
                }
            }
            Request::Cancel(at) => {
                let at = at.clone();
                while let Some((number, stands)) = opening.next().await {
                    listeners.settle(number, stands);
                }
                cancel(&mut listeners, asked, &at).await;
            }
        }
    }
}

/// Enters a listener that is to be. Its number comes with it.
fn admit(
    listeners: &mut Listeners,
    actor: &Actor,
    at: &ListenAt,
) -> Result<(u64, Listener), String> {
    let client = &actor.client;
    let name = match at {
        ListenAt::Tcp { host, .. } => host,
        ListenAt::Unix(path) | ListenAt::Agent(path) => path,
    };
    if name.len() > MAX_NAME {
        return Err(format!("a host or path is longer than {MAX_NAME} bytes"));
    }
    Destination::has_pod(client, &actor.login_name).map_err(|refusal| refusal.to_string())?;
    listeners.admit(at).map_err(|refusal| {
        if matches!(refusal, Refusal::Full) {
            client.refused(Listeners::LIMIT);
        }
        refusal.to_string()
    })?;
    let listener = Listener {
        at: at.clone(),
        cancelled: CancellationToken::new(),
        over: CancellationToken::new(),
    };
    Ok((listeners.add(listener.clone()), listener))
}

/// Listens in the pod, and answers once that stands. The listener's task tells the records why it does not.
async fn listen(
    asked: Asked,
    at: ListenAt,
    (number, listener): (u64, Listener),
) -> (u64, Option<ListenAt>) {
    let Asked {
        actor,
        connection,
        answer,
        pending,
        ..
    } = asked;
    let answered = CancellationToken::new();
    let task = listener::Task {
        actor: actor.clone(),
        at,
        place: None,
        connection: connection.clone(),
        answered: answered.clone(),
        cancelled: listener.cancelled.clone(),
        over: listener.over,
    };
    let (told, stands) = oneshot::channel();
    actor.client.background.spawn(task.run(told));
    let stands = timeout(ANSWER, stands).await;
    drop(pending);
    match stands {
        Ok(Ok(Ok(at))) => {
            let (sent, is_sent) = oneshot::channel();
            let _ = answer.send(Some((at.port(), sent)));
            let client = Arc::clone(&actor.client);
            actor.client.background.spawn(async move {
                // It is dropped unused.
                let _ = client.ended.run_until_cancelled(is_sent).await;
                answered.cancel();
            });
            (number, Some(at))
        }
        Ok(_) => (number, None),
        Err(_) => {
            listener.cancelled.cancel();
            refuse(&actor, &connection, "the pod's node does not answer");
            (number, None)
        }
    }
}

/// Ends a listener, and waits until nothing listens any more. Connections that stand go on.
async fn cancel(listeners: &mut Listeners, asked: Asked, at: &ListenAt) {
    // Dropped, the answer refuses.
    let Some(listener) = listeners.take(at) else {
        return;
    };
    listener.cancelled.cancel();
    let _ = timeout(ANSWER, listener.over.cancelled()).await;
    let (sent, _) = oneshot::channel();
    let _ = asked.answer.send(Some((0, sent)));
}

/// Tells the client and the records that nothing listens.
pub(super) fn refuse(actor: &Actor, connection: &Handle, reason: impl ToString) {
    let (client, reason) = (&actor.client, reason.to_string());
    tracing::info!(user = actor.identity.user, reason, "listener refused");
    let line = format!("nothing listens in the pod: {reason}");
    client.notices.tell(line, connection);
    let event = Event::listener_refused(&actor.identity, &reason);
    client.record(event, &actor.login_name);
}
