//! Places for what takes memory and connections to the store: so many in all, and so many for one user, so
//! that nobody takes them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What places are for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// In the words that a visitor reads.
    words: &'static str,
    /// The keys of the limits.
    all: &'static str,
    each: &'static str,
}

impl Kind {
    pub(crate) const REQUESTS: Self = Self {
        words: "lists and searches under way",
        all: "requests",
        each: "requestsPerUser",
    };
    pub(crate) const STREAMS: Self = Self {
        words: "recordings played or downloaded",
        all: "streams",
        each: "streamsPerUser",
    };
    pub(crate) const FOLLOWERS: Self = Self {
        words: "running sessions followed",
        all: "followers",
        each: "followersPerUser",
    };
}

/// There is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("there are too many {words} at once; try again in a moment")]
    All {
        words: &'static str,
        limit: &'static str,
    },
    #[error("you have too many {words} at once; end one, or try again in a moment")]
    Own {
        words: &'static str,
        limit: &'static str,
    },
}

impl Full {
    /// The key of the limit.
    pub(crate) fn limit(self) -> &'static str {
        match self {
            Self::All { limit, .. } | Self::Own { limit, .. } => limit,
        }
    }
}

/// The places of one kind.
#[derive(Debug)]
pub(crate) struct Places {
    kind: Kind,
    all: Arc<Semaphore>,
    each: usize,
    users: Users,
    taken: Gauge,
}

/// How many each user has.
type Users = Arc<Mutex<HashMap<String, usize>>>;

/// A place, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    user: String,
    users: Users,
    taken: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// `taken` counts those that are taken.
    pub(crate) fn new(kind: Kind, all: u16, each: u16, taken: Gauge) -> Self {
        Self {
            kind,
            all: Arc::new(Semaphore::new(all.into())),
            each: each.into(),
            users: Arc::default(),
            taken,
        }
    }

    /// Takes a place.
    pub(crate) fn take(&self, user: &str) -> Result<Place, Full> {
        let Kind { words, all, each } = self.kind;
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let own = users.get(user).copied().unwrap_or_default();
        if own >= self.each {
            return Err(Full::Own { words, limit: each });
        }
        let permit = Arc::clone(&self.all).try_acquire_owned();
        let permit = permit.map_err(|_| Full::All { words, limit: all })?;
        users.insert(user.to_owned(), own + 1);
        self.taken.inc();
        Ok(Place {
            user: user.to_owned(),
            users: Arc::clone(&self.users),
            taken: self.taken.clone(),
            _permit: permit,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = users.get_mut(&self.user) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                users.remove(&self.user);
            }
        }
        self.taken.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_and_each_user_have_so_many_places() {
        let taken = Gauge::default();
        let places = Places::new(Kind::STREAMS, 3, 2, taken.clone());
        let limit = |user: &str| places.take(user).unwrap_err().limit();
        let own = (places.take("ada").unwrap(), places.take("ada").unwrap());
        assert_eq!(limit("ada"), "streamsPerUser");
        let _other = places.take("bo").unwrap();
        assert_eq!((limit("cy"), limit("ada")), ("streams", "streamsPerUser"));
        assert_eq!(taken.get(), 3);
        drop(own);
        assert_eq!(taken.get(), 1);
        places.take("ada").unwrap();
        // Nothing is kept of those who have none.
        assert_eq!(places.users.lock().unwrap().len(), 1);
    }
}
