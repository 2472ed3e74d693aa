//! The requests about listeners in pods: whether one may begin, and which one ends.

use std::sync::Arc;
use std::time::Duration;

use russh::server::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::state::{ConnectionHandler, Opened};
use crate::audit::Event;
use crate::authn::Login;
use crate::ssh::destination::Destination;
use crate::ssh::listen_at::ListenAt;
use crate::ssh::listener;
use crate::ssh::listeners::{Listener, Listeners, Refusal};

/// How long a client waits for a listener to stand, or to end, at the most: its other channels wait too.
const ANSWER: Duration = Duration::from_secs(15);

impl ConnectionHandler {
    /// Listens in the pod. Answers where, once that stands. Its task tells the records why it does not.
    pub(super) async fn listen(&mut self, at: ListenAt, connection: Handle) -> Option<ListenAt> {
        let client = Arc::clone(&self.client);
        let login = client.login.get()?;
        if client.is_over_limit() || !client.may_begin() {
            return None;
        }
        if let Err(refusal) = Destination::has_pod(&client, self.attempts.login_name()) {
            self.refuse(login, &refusal.to_string());
            return None;
        }
        if let Err(refusal) = self.listeners.admit(&at) {
            if matches!(refusal, Refusal::Full) {
                client.refused(Listeners::LIMIT);
            }
            self.refuse(login, &refusal.to_string());
            return None;
        }
        let listener = Listener {
            at: at.clone(),
            cancelled: CancellationToken::new(),
            over: CancellationToken::new(),
        };
        let task = listener::Task {
            actor: self.actor(login),
            at,
            place: None,
            connection,
            cancelled: listener.cancelled.clone(),
            over: listener.over.clone(),
        };
        let (told, stands) = oneshot::channel();
        (self.start)(&client, Opened::Listener(task, told));
        match timeout(ANSWER, stands).await {
            Ok(Ok(Ok(at))) => {
                let bound = at.clone();
                self.listeners.add(Listener { at, ..listener });
                Some(bound)
            }
            Ok(_) => None,
            Err(_) => {
                listener.cancelled.cancel();
                None
            }
        }
    }

    /// Ends a listener, and waits until nothing listens any more. Connections that stand go on.
    pub(super) async fn cancel(&mut self, at: &ListenAt) -> bool {
        let Some(listener) = self.listeners.take(at) else {
            return false;
        };
        listener.cancelled.cancel();
        let _ = timeout(ANSWER, listener.over.cancelled()).await;
        true
    }

    /// Whether sessions that begin from now on may have the client's agent, which they get as they begin.
    pub(super) fn forward_agent(&self, connection: Handle) -> bool {
        let client = &self.client;
        let Some(login) = client.login.get() else {
            return false;
        };
        let checked = ListenAt::Agent(String::new()).check(&login.restrictions);
        if let Err(refusal) = checked {
            self.refuse(login, &refusal.to_string());
            return false;
        }
        if Destination::has_pod(client, self.attempts.login_name()).is_err() {
            return false;
        }
        client.agent.ask(connection);
        true
    }

    fn refuse(&self, login: &Login, reason: &str) {
        tracing::info!(user = login.identity.user, reason, "listener refused");
        self.client
            .notices
            .add(format!("nothing listens in the pod: {reason}"));
        let event = Event::listener_refused(&login.identity, reason);
        self.client.record(event, self.attempts.login_name());
    }
}
