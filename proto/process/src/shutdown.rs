//! The two stages in which a program ends, as tokens that all its tasks watch.

use tokio_util::sync::CancellationToken;

/// How far a program has come to its end.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Cancelled when nothing new may begin. What runs goes on.
    pub draining: CancellationToken,
    /// Cancelled when what still runs must end.
    pub stopped: CancellationToken,
}

impl Shutdown {
    /// Goes on to the next stage: the first call begins to drain, the second stops.
    pub fn advance(&self) {
        if self.draining.is_cancelled() {
            self.stopped.cancel();
        } else {
            self.draining.cancel();
        }
    }
}
