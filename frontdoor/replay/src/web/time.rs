//! How long a connection lasts. A stranger's ends soon. A visitor's lasts for a while after each request, and
//! with a stream for as long as the client takes what is sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How long a visitor's connection lasts after a request, the answer included.
const VISIT: Duration = Duration::from_secs(600);

/// When a connection ends, and by which bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Until {
    pub(super) at: Instant,
    pub(super) bound: Bound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Stranger,
    Visit,
    /// A piece of a stream was not taken, or was not there, in time.
    Piece,
}

/// The time of one connection. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Time(Arc<watch::Sender<Until>>);

impl Time {
    /// Of a connection that has just begun, and what tells when it ends.
    pub(super) fn new(stranger: Duration) -> (Self, watch::Receiver<Until>) {
        let at = Instant::now() + stranger;
        let bound = Bound::Stranger;
        let (time, until) = watch::channel(Until { at, bound });
        (Self(Arc::new(time)), until)
    }

    /// A visitor sends a request.
    pub(super) fn visit(&self) {
        let at = Instant::now() + VISIT;
        let bound = Bound::Visit;
        self.0.send_replace(Until { at, bound });
    }

    /// The next piece of a stream has this long.
    pub(super) fn piece(&self, within: Duration) {
        let at = Instant::now() + within;
        let bound = Bound::Piece;
        self.0.send_replace(Until { at, bound });
    }
}
