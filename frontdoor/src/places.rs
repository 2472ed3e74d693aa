//! What there are only so many places for: connections that have not logged in yet, those that have,
//! and sessions. All are counted over all cores, and a place is free again when its holder lets go of it, however
//! that comes about.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use podgate_identity::addresses::Network;

use crate::config::Limits;

/// Why there is no place: what the client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("too many connections from your address are logging in; try again in a moment")]
    StartsPerAddress,
    #[error("too many connections are logging in; try again in a moment")]
    Starts,
    #[error("you have as many connections as one user may have here; close one, then try again")]
    ConnectionsPerUser,
    #[error("there are as many connections as this frontdoor may have; try again later")]
    Connections,
    #[error("you have as many sessions as one user may have here; end one, then try again")]
    SessionsPerUser,
    #[error("there are as many sessions as this frontdoor may have; try again later")]
    Sessions,
}

impl Full {
    /// The limit's key in the configuration.
    pub(crate) fn limit(self) -> &'static str {
        match self {
            Self::StartsPerAddress => "startsPerAddress",
            Self::Starts => "starts",
            Self::ConnectionsPerUser => "connectionsPerUser",
            Self::Connections => "connections",
            Self::SessionsPerUser => "sessionsPerUser",
            Self::Sessions => "sessions",
        }
    }
}

/// A connection's place until it has logged in.
pub(crate) type Start = Place<Network>;
/// A connection's place from its login on.
pub(crate) type Connected = Place<String>;
/// A running session's place.
pub(crate) type Session = Place<String>;

/// All places of this frontdoor.
#[derive(Debug)]
pub(crate) struct Places {
    starts: Arc<Room<Network>>,
    unnamed: Arc<Room<Network>>,
    connections: Arc<Room<String>>,
    sessions: Arc<Room<String>>,
}

impl Places {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            starts: Arc::new(Room {
                most: (limits.starts, Full::Starts),
                most_each: (limits.starts_per_address, Full::StartsPerAddress),
                taken: Mutex::default(),
            }),
            unnamed: Arc::new(Room {
                most: (limits.starts, Full::Starts),
                most_each: (limits.starts, Full::Starts),
                taken: Mutex::default(),
            }),
            connections: Arc::new(Room {
                most: (limits.connections, Full::Connections),
                most_each: (limits.connections_per_user, Full::ConnectionsPerUser),
                taken: Mutex::default(),
            }),
            sessions: Arc::new(Room {
                most: (limits.sessions, Full::Sessions),
                most_each: (limits.sessions_per_user, Full::SessionsPerUser),
                taken: Mutex::default(),
            }),
        }
    }

    /// A place to log in from, for a client at `address`.
    pub(crate) fn start(&self, address: IpAddr) -> Result<Start, Full> {
        Room::take(&self.starts, Network::of(address))
    }

    /// A place for a connection of a user who has logged in.
    pub(crate) fn connection(&self, user: &str) -> Result<Connected, Full> {
        Room::take(&self.connections, user.to_owned())
    }

    /// A place for a connection through a proxy, until it is known whose it is. They are bounded apart, so
    /// that one proxy is not held to what one client may have.
    pub(crate) fn unnamed(&self, proxy: IpAddr) -> Result<Start, Full> {
        Room::take(&self.unnamed, Network::of(proxy))
    }

    /// A place for one more session of `user`.
    pub(crate) fn session(&self, user: &str) -> Result<Session, Full> {
        Room::take(&self.sessions, user.to_owned())
    }
}

/// Places of one kind. It knows only keys that hold one, so the greatest number of places is its own
/// bound, too.
#[derive(Debug)]
struct Room<K> {
    most: (usize, Full),
    most_each: (usize, Full),
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    each: HashMap<K, usize>,
}

impl<K> Default for Taken<K> {
    fn default() -> Self {
        Self {
            all: 0,
            each: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + Hash> Room<K> {
    fn take(this: &Arc<Self>, key: K) -> Result<Place<K>, Full> {
        let mut taken = this.lock();
        // The narrower one first: it is what its owner can do something about.
        let (most, full) = this.most_each;
        if taken.each.get(&key).is_some_and(|each| *each >= most) {
            return Err(full);
        }
        let (most, full) = this.most;
        if taken.all >= most {
            return Err(full);
        }
        taken.all += 1;
        *taken.each.entry(key.clone()).or_default() += 1;
        let room = Arc::clone(this);
        Ok(Place { room, key })
    }
}

impl<K> Room<K> {
    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One taken place; free again on drop.
#[derive(Debug)]
#[must_use]
pub(crate) struct Place<K: Eq + Hash> {
    room: Arc<Room<K>>,
    key: K,
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.room.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(each) = taken.each.get_mut(&self.key) {
            *each = each.saturating_sub(1);
            if *each == 0 {
                taken.each.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(most: usize, most_each: usize) -> Arc<Room<&'static str>> {
        Arc::new(Room {
            most: (most, Full::Sessions),
            most_each: (most_each, Full::SessionsPerUser),
            taken: Mutex::default(),
        })
    }

    /// Places that are taken, and keys that hold one.
    fn taken(room: &Room<&str>) -> (usize, usize) {
        let taken = room.lock();
        (taken.all, taken.each.len())
    }

    #[test]
    fn each_key_and_all_have_their_bound() {
        let room = room(3, 2);
        let take = |key| Room::take(&room, key);
        let (first, _second) = (take("ada").unwrap(), take("ada").unwrap());
        assert_eq!(take("ada").unwrap_err(), Full::SessionsPerUser);
        let _third = take("grace").unwrap();
        assert_eq!(take("grace").unwrap_err(), Full::Sessions);
        assert_eq!(take("alan").unwrap_err(), Full::Sessions);
        drop(first);
        let _again = take("ada").unwrap();
        assert_eq!(take("ada").unwrap_err(), Full::SessionsPerUser);
    }

    #[test]
    fn a_refusal_takes_no_place_and_an_end_leaves_nothing() {
        let room = room(2, 1);
        let places: Vec<_> = ["ada", "ada", "grace", "alan"]
            .into_iter()
            .filter_map(|key| Room::take(&room, key).ok())
            .collect();
        assert_eq!((places.len(), taken(&room)), (2, (2, 2)));
        drop(places);
        assert_eq!(taken(&room), (0, 0));
    }

    #[test]
    fn a_place_of_another_thread_counts_and_is_given_back_even_by_a_panic() {
        let room = room(8, 8);
        let threads: Vec<_> = (0..8)
            .map(|i| {
                let room = Arc::clone(&room);
                std::thread::spawn(move || {
                    for _ in 0..1000 {
                        let _place = Room::take(&room, "ada").unwrap();
                    }
                    let _place = Room::take(&room, "ada").unwrap();
                    assert!(i % 2 == 0, "every other thread panics");
                })
            })
            .collect();
        let panicked = threads
            .into_iter()
            .filter_map(|thread| thread.join().err())
            .count();
        assert_eq!(panicked, 4);
        assert_eq!(taken(&room), (0, 0));
    }
}
