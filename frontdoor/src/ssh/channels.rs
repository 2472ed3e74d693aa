//! A connection's channels as its handler knows them: which are open, and how many there may be.

use std::collections::HashMap;

use russh::{ChannelId, Sig};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::connection::Client;
use crate::audit::Event;
use crate::authn::Login;

/// Why a channel is refused, as the audit log has it.
const FULL: &str = "the connection has as many channels as it may have";
/// Signals of a channel that wait for its session to take them.
const SIGNALS: usize = 32;

/// Those that are open.
#[derive(Default)]
pub(super) struct Channels(HashMap<ChannelId, State>);

struct State {
    /// Whether its shell or command was asked for.
    started: bool,
    /// Cancelled when the client closes the channel.
    closed: CancellationToken,
    /// To its session.
    signals: Option<mpsc::Sender<Sig>>,
}

impl Channels {
    /// Whether there may be one more, of who is logged in under this name.
    pub(super) fn may_open(&mut self, client: &Client, login: &Login, name: &str) -> bool {
        // Not every closed channel is told of: one that this end closes first is not.
        self.0.retain(|_, state| !state.closed.is_cancelled());
        let worker = &client.worker;
        let full = self.0.len() >= worker.limits.channels_per_connection;
        if full {
            client.refused("channelsPerConnection");
            let event = Event::channel_refused(&login.identity, FULL);
            client.record(event, name);
        }
        !full && !worker.draining.is_cancelled() && !client.revoked.is_cancelled()
    }

    /// Opens one for a session; gives what is cancelled when it closes, and the session's signals.
    pub(super) fn session(
        &mut self,
        channel: ChannelId,
        client: &Client,
    ) -> (CancellationToken, mpsc::Receiver<Sig>) {
        let (signals, wanted) = mpsc::channel(SIGNALS);
        let closed = client.ended.child_token();
        let state = State {
            started: false,
            closed: closed.clone(),
            signals: Some(signals),
        };
        self.0.insert(channel, state);
        (closed, wanted)
    }

    /// Opens one for a jump, on which nothing can be asked for.
    pub(super) fn jump(&mut self, channel: ChannelId, client: &Client) -> CancellationToken {
        let closed = client.ended.child_token();
        let state = State {
            started: true,
            closed: closed.clone(),
            signals: None,
        };
        self.0.insert(channel, state);
        closed
    }

    /// Whether nothing was started on it yet.
    pub(super) fn is_early(&self, channel: ChannelId) -> bool {
        self.0.get(&channel).is_some_and(|state| !state.started)
    }

    /// A shell or command may be asked for once a channel (RFC 4254 §6.5).
    pub(super) fn start(&mut self, channel: ChannelId) -> bool {
        self.0
            .get_mut(&channel)
            .is_some_and(|state| !std::mem::replace(&mut state.started, true))
    }

    /// Not through the channel, where it would wait behind input that nobody reads.
    pub(super) fn signal(&self, channel: ChannelId, signal: Sig) {
        let state = self.0.get(&channel);
        let Some(signals) = state.and_then(|state| state.signals.as_ref()) else {
            return;
        };
        // Another name than those of RFC 4254 §6.10 means nothing to any program.
        if !matches!(signal, Sig::Custom(_)) && signals.try_send(signal).is_err() {
            tracing::debug!("a session that takes no signals was sent one more");
        }
    }

    /// The client has closed it.
    pub(super) fn close(&mut self, channel: ChannelId) {
        if let Some(state) = self.0.remove(&channel) {
            state.closed.cancel();
        }
    }
}
