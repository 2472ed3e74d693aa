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
    /// By their numbers.
    known: Vec<(u64, Listener)>,
    /// How many there were.
    count: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Listener {
    /// As it was asked for until it stands.
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
        let count = 0;
        Self { most, known, count }
    }

    /// Whether one more may listen there.
    pub(super) fn admit(&mut self, at: &ListenAt) -> Result<(), Refusal> {
        self.known.retain(|(_, one)| !one.over.is_cancelled());
        if at.port() != 0 || matches!(at, ListenAt::Unix(_)) {
            let known = self.known.iter().any(|(_, one)| one.at == *at);
            known
                .then_some(())
                .map_or(Ok(()), |()| Err(Refusal::Known))?;
        }
        match self.known.len() < self.most {
            true => Ok(()),
            false => Err(Refusal::Full),
        }
    }

    /// Enters one that is to be. Returns its number.
    pub(super) fn add(&mut self, listener: Listener) -> u64 {
        self.count += 1;
        self.known.push((self.count, listener));
        self.count
    }

    /// One stands there, or nowhere.
    pub(super) fn settle(&mut self, number: u64, stands: Option<ListenAt>) {
        let Some(found) = self.known.iter().position(|(other, _)| *other == number) else {
            return;
        };
        match (stands, self.known.get_mut(found)) {
            (Some(at), Some((_, listener))) => listener.at = at,
            _ => drop(self.known.swap_remove(found)),
        }
    }

    /// Takes one out.
    pub(super) fn take(&mut self, at: &ListenAt) -> Option<Listener> {
        let found = self.known.iter().position(|(_, one)| one.at == *at)?;
        Some(self.known.swap_remove(found).1)
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
        let first = all.add(one.clone());
        assert!(matches!(all.admit(&one.at), Err(Refusal::Known)));
        all.admit(&listener(0).at).unwrap();
        let second = all.add(listener(0));
        all.settle(second, Some(other.at.clone()));
        assert!(matches!(all.admit(&other.at), Err(Refusal::Known)));
        assert!(matches!(all.admit(&listener(0).at), Err(Refusal::Full)));
        all.settle(second, None);
        all.admit(&other.at).unwrap();
        assert!(all.take(&other.at).is_none());
        let third = all.add(other.clone());
        assert!(first < second && second < third);
        other.over.cancel();
        all.admit(&other.at).unwrap();
        assert!(all.take(&one.at).is_some() && all.take(&one.at).is_none());
    }
}
