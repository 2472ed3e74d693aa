//! The requests about listeners in pods, and about the client's ssh-agent.

use russh::server::Handle;
use tokio::sync::oneshot;

use super::state::ConnectionHandler;
use crate::ssh::destination::Destination;
use crate::ssh::listen_at::ListenAt;
use crate::ssh::listen_requests::{Asked, Request, refuse};

/// Brings the answer to a request.
pub(super) type Reply = oneshot::Receiver<Option<(u32, oneshot::Sender<()>)>>;

impl ConnectionHandler {
    /// Has a request done, which is answered later.
    pub(super) fn ask(&mut self, request: Request, connection: Handle) -> Reply {
        let (answer, reply) = oneshot::channel();
        let client = &self.client;
        if let Some(login) = client.login.get()
            && !client.is_over_limit()
            && (client.may_begin() || matches!(request, Request::Cancel(_)))
        {
            let asked = Asked {
                request,
                actor: self.actor(login),
                connection,
                answer,
                pending: client.unanswered.ask(),
            };
            self.listen_requests.ask(asked);
        }
        reply
    }

    /// Whether sessions that begin from now on may have the client's agent, which they get as they begin.
    pub(super) fn forward_agent(&self, connection: Handle) -> bool {
        let client = &self.client;
        let Some(login) = client.login.get() else {
            return false;
        };
        let checked = ListenAt::Agent(String::new()).check(&login.restrictions);
        if let Err(refusal) = checked {
            refuse(&self.actor(login), &connection, refusal);
            return false;
        }
        if Destination::has_pod(client, self.attempts.login_name()).is_err() {
            return false;
        }
        client.agent.ask(connection);
        true
    }
}

/// Waits for the answer of the published russh's callbacks, which the whole connection waits for.
#[cfg(stock_russh)]
pub(super) async fn port(reply: Reply) -> Option<u32> {
    reply.await.unwrap_or_default().map(|(port, _)| port)
}
