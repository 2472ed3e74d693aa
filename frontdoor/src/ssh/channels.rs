//! The registry of a connection's channels. Its invariants:
//!
//! - A channel is here from the moment when the client asks for it until one end has closed it. All of
//!   them count against a limit, also those that are still opening, but for forwards, which have a limit
//!   of their own (`Client::forward_place`).
//! - A channel is `Opening` until both ends have agreed to it. Only then does it have a kind, and takes
//!   requests and signals.
//! - Each has a token, which is cancelled when the channel closes or the connection ends. So a task that
//!   waits for its token never outlives its channel.

use std::collections::HashMap;

use podgate_proto::v1::TerminalSize;
use russh::server::Msg;
use russh::{ChannelId, ChannelOpenFailure, ChannelWriteHalf, Sig};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Signals that wait for their session to take them.
const SIGNALS: usize = 32;

pub(super) struct Channels {
    /// How many channels there may be beside forwards.
    most: usize,
    /// Cancelled when the connection is gone.
    ended: CancellationToken,
    known: HashMap<ChannelId, Channel>,
}

struct Channel {
    closed: CancellationToken,
    forward: bool,
    state: State,
}

enum State {
    Opening,
    Open(Kind),
}

enum Kind {
    Session {
        /// Whether a shell or command was asked for.
        started: bool,
        signals: mpsc::Sender<Sig>,
        sizes: watch::Sender<TerminalSize>,
        unread: CancellationToken,
    },
    Jump,
    Forward,
}

/// What reaches a session beside its channel's data, so that it does not wait behind the data.
pub(super) struct Aside {
    /// Signals from the client.
    pub(super) signals: mpsc::Receiver<Sig>,
    /// The latest size of the client's terminal that was sent since the channel was opened.
    pub(super) sizes: watch::Receiver<TerminalSize>,
    /// Cancelled when nobody reads the session's output any more.
    pub(super) unread: CancellationToken,
}

/// A channel that is asked for and not open yet.
pub(super) struct Opening {
    id: ChannelId,
    pub(super) closed: CancellationToken,
}

/// The limit is reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum Full {
    #[error("the connection has as many channels as it may have")]
    Channels,
    #[error("the connection has as many forwarded connections as it may have")]
    Forwards,
}

impl Full {
    /// The limit that a channel of this kind meets.
    pub(super) fn of(forward: bool) -> Self {
        if forward {
            Self::Forwards
        } else {
            Self::Channels
        }
    }

    /// The limit's key in the configuration.
    pub(super) fn limit(&self) -> &'static str {
        match self {
            Self::Channels => "channelsPerConnection",
            Self::Forwards => "forwardsPerConnection",
        }
    }
}

impl From<Full> for ChannelOpenFailure {
    /// Adds the reason, which ssh prints (RFC 4254 §5.1).
    fn from(full: Full) -> Self {
        Self::Other {
            code: Self::ResourceShortage.code(),
            reason: full.to_string(),
        }
    }
}

impl Channels {
    pub(super) fn new(most: usize, ended: CancellationToken) -> Self {
        Self {
            most,
            ended,
            known: HashMap::new(),
        }
    }

    /// Enters a channel that was asked for. Its token is cancelled when the channel closes; this end
    /// cancels the token when it closes the channel itself.
    pub(super) fn opening(&mut self, id: ChannelId, forward: bool) -> Result<Opening, Full> {
        // russh does not tell of a channel that this end closes first.
        self.known
            .retain(|_, channel| !channel.closed.is_cancelled());
        let others = self.known.values().filter(|one| !one.forward).count();
        if !forward && others >= self.most {
            return Err(Full::Channels);
        }
        let closed = self.ended.child_token();
        let channel = Channel {
            closed: closed.clone(),
            forward,
            state: State::Opening,
        };
        self.known.insert(id, channel);
        Ok(Opening { id, closed })
    }

    /// The channel is open, and carries a session.
    pub(super) fn session(&mut self, opening: Opening) -> (CancellationToken, Aside) {
        let (signals, signals_sent) = mpsc::channel(SIGNALS);
        let (sizes, sizes_sent) = watch::channel(TerminalSize::default());
        let unread = CancellationToken::new();
        let kind = Kind::Session {
            started: false,
            signals,
            sizes,
            unread: unread.clone(),
        };
        let aside = Aside {
            signals: signals_sent,
            sizes: sizes_sent,
            unread,
        };
        (self.open(opening, kind), aside)
    }

    /// The channel is open, and carries another connection. It takes no requests.
    pub(super) fn jump(&mut self, opening: Opening) -> CancellationToken {
        self.open(opening, Kind::Jump)
    }

    /// The channel carries a connection to an address, once that stands. It takes no requests.
    pub(super) fn forward(&mut self, opening: Opening) -> CancellationToken {
        self.open(opening, Kind::Forward)
    }

    fn open(&mut self, opening: Opening, kind: Kind) -> CancellationToken {
        if let Some(channel) = self.known.get_mut(&opening.id) {
            channel.state = State::Open(kind);
        }
        opening.closed
    }

    /// Whether it is a session's channel on which nothing was started yet.
    pub(super) fn is_early(&self, id: ChannelId) -> bool {
        let state = self.known.get(&id).map(|channel| &channel.state);
        matches!(state, Some(State::Open(Kind::Session { started, .. })) if !started)
    }

    /// Notes that a shell or command is started, which is allowed once per channel (RFC 4254 §6.5).
    /// Returns whether this is the first.
    pub(super) fn start(&mut self, id: ChannelId) -> bool {
        match self.known.get_mut(&id).map(|channel| &mut channel.state) {
            Some(State::Open(Kind::Session { started, .. })) => !std::mem::replace(started, true),
            _ => false,
        }
    }

    /// Passes a signal on.
    pub(super) fn signal(&self, id: ChannelId, signal: Sig) {
        let state = self.known.get(&id).map(|channel| &channel.state);
        let Some(State::Open(Kind::Session { signals, .. })) = state else {
            return;
        };
        // A signal that RFC 4254 §6.10 does not name means nothing to any program.
        if !matches!(signal, Sig::Custom(_)) && signals.try_send(signal).is_err() {
            tracing::debug!("a signal is dropped: too many wait for their session");
        }
    }

    /// Passes a new size of the client's terminal on.
    pub(super) fn resize(&self, id: ChannelId, size: TerminalSize) {
        let state = self.known.get(&id).map(|channel| &channel.state);
        if let Some(State::Open(Kind::Session { sizes, .. })) = state {
            sizes.send_replace(size);
        }
    }

    /// Notes that nobody reads the session's output any more.
    pub(super) fn unread(&self, id: ChannelId) {
        let state = self.known.get(&id).map(|channel| &channel.state);
        if let Some(State::Open(Kind::Session { unread, .. })) = state {
            unread.cancel();
        }
    }

    /// Removes a channel that is refused.
    pub(super) fn refuse(&mut self, opening: &Opening) {
        self.close(opening.id);
    }

    /// Removes a channel that the client has closed.
    pub(super) fn close(&mut self, id: ChannelId) {
        if let Some(channel) = self.known.remove(&id) {
            channel.closed.cancel();
        }
    }
}

/// Closes a channel at this end. `closed` is its token.
pub(super) async fn close(write: &ChannelWriteHalf<Msg>, closed: &CancellationToken) {
    // The channel may be closed already.
    let _ = write.eof().await;
    // Before the close, so that a client that hears of it can open the next channel.
    closed.cancel();
    let _ = write.close().await;
}
