//! What a connection listens at in pods: the client cancels by the address that it has asked for, with the
//! port that it was told.

use tokio_util::sync::CancellationToken;

use super::listen_at::ListenAt;

/// Why nothing more listens.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the connection listens there already")]
    Known,
    #[error("the connection has as many listeners as it may have")]
    Full,
}

/// The listeners of one connection.
#[derive(Debug)]
pub(super) struct Listeners {
    most: usize,
    known: Vec<Listener>,
}

#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) at: ListenAt,
    /// Cancelled when the client wants it no more.
    pub(super) cancelled: CancellationToken,
    /// Cancelled once nothing listens any more.
    pub(super) over: CancellationToken,
}

impl Listeners {
    /// The limit's key in the configuration.
    pub(super) const LIMIT: &'static str = "listenersPerConnection";

    pub(super) fn new(most: usize) -> Self {
        let known = Vec::new();
        Self { most, known }
    }

    /// Whether one more may listen there.
    pub(super) fn admit(&mut self, at: &ListenAt) -> Result<(), Refusal> {
        self.known.retain(|one| !one.over.is_cancelled());
        if at.port() != 0 || matches!(at, ListenAt::Unix(_)) {
            let known = self.known.iter().any(|one| one.at == *at);
            known
                .then_some(())
                .map_or(Ok(()), |()| Err(Refusal::Known))?;
        }
        match self.known.len() < self.most {
            true => Ok(()),
            false => Err(Refusal::Full),
        }
    }

    pub(super) fn add(&mut self, listener: Listener) {
        self.known.push(listener);
    }

    /// Takes one out.
    pub(super) fn take(&mut self, at: &ListenAt) -> Option<Listener> {
        let found = self.known.iter().position(|one| one.at == *at)?;
        Some(self.known.swap_remove(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(port: u32) -> Listener {
        let host = "localhost".to_owned();
        Listener {
            at: ListenAt::Tcp { host, port },
            cancelled: CancellationToken::new(),
            over: CancellationToken::new(),
        }
    }

    #[test]
    fn each_listens_once_and_not_too_many() {
        let mut all = Listeners::new(2);
        let (one, other) = (listener(1), listener(2));
        all.admit(&one.at).unwrap();
        all.add(one.clone());
        assert!(matches!(all.admit(&one.at), Err(Refusal::Known)));
        all.admit(&listener(0).at).unwrap();
        all.add(other.clone());
        assert!(matches!(all.admit(&listener(0).at), Err(Refusal::Full)));
        other.over.cancel();
        all.admit(&other.at).unwrap();
        assert!(all.take(&other.at).is_none());
        assert!(all.take(&one.at).is_some() && all.take(&one.at).is_none());
    }
}
