//! Requests that are held back until several of them have come. So none of their callers has seen what
//! another does next.

use tokio::sync::watch;

use super::asked::Asked;

/// Requests of one verb for one resource.
pub(super) struct Gathering {
    verb: String,
    resource: String,
    n: usize,
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    here: usize,
    over: bool,
}

/// One that waits; a caller may give up.
struct Here<'a>(&'a watch::Sender<State>);

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.here -= 1);
    }
}

impl Gathering {
    pub(super) fn new(verb: &str, resource: &str, n: usize) -> Self {
        Self {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            n,
            state: watch::Sender::default(),
        }
    }

    /// Returns once this many have come, now or before.
    pub(super) async fn wait(&self, asked: &Asked) {
        if asked.verb != self.verb || asked.resource != self.resource {
            return;
        }
        let mut states = self.state.subscribe();
        self.state.send_modify(|state| {
            state.here += 1;
            state.over |= state.here >= self.n;
        });
        let _here = Here(&self.state);
        // The sender lives as long as `self`.
        let _ = states.wait_for(|state| state.over).await;
    }
}
