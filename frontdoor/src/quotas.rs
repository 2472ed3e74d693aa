//! How many connections and sessions clients may have, counted over all cores. A slot is free again as
//! soon as its holder drops it, even if that panics.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::Limits;
use crate::login_pressure::LoginPressure;
use podgate_process::jitter;
use podgate_process::network::Network;

/// The limit that is reached, in the words that the client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("too many connections from your address are logging in; try again in a moment")]
    StartsPerAddress,
    #[error("too many connections are logging in; try again in a moment")]
    Starts,
    #[error("too many connections are logging in; try again in a moment")]
    EarlyStarts,
    #[error("you have reached the limit of connections per user; close one, then try again")]
    ConnectionsPerUser,
    #[error("this frontdoor has reached its limit of connections; try again later")]
    Connections,
    #[error("you have reached the limit of sessions per user; end one, then try again")]
    SessionsPerUser,
    #[error("this frontdoor has reached its limit of sessions; try again later")]
    Sessions,
    #[error(
        "you have reached the limit of forwarded connections per user; close one, then try again"
    )]
    ForwardsPerUser,
    #[error("this frontdoor has reached its limit of forwarded connections; try again later")]
    Forwards,
    #[error("you have reached the limit of listeners per user; end one, then try again")]
    ListenersPerUser,
    #[error("this frontdoor has reached its limit of listeners; try again later")]
    Listeners,
}

impl Full {
    /// The limit's key in the configuration.
    pub(crate) fn limit(self) -> &'static str {
        match self {
            Self::StartsPerAddress => "startsPerAddress",
            Self::Starts => "starts",
            Self::EarlyStarts => "startsDropFrom",
            Self::ConnectionsPerUser => "connectionsPerUser",
            Self::Connections => "connections",
            Self::SessionsPerUser => "sessionsPerUser",
            Self::Sessions => "sessions",
            Self::ForwardsPerUser => "forwardsPerUser",
            Self::Forwards => "forwards",
            Self::ListenersPerUser => "listenersPerUser",
            Self::Listeners => "listeners",
        }
    }
}

/// The slot of a connection until it has logged in.
pub(crate) type PreAuthSlot = Slot<Network>;
/// The slot of a connection from its login on.
pub(crate) type ConnectionSlot = Slot<String>;
/// The slot of a running session.
pub(crate) type SessionSlot = Slot<String>;

/// Held by a forwarded connection.
pub(crate) type ForwardSlot = Slot<String>;

/// Held by a listener in a pod.
pub(crate) type ListenerSlot = Slot<String>;

/// All quotas of this frontdoor.
#[derive(Debug)]
pub(crate) struct Quotas {
    pre_auth: Arc<Quota<Network>>,
    proxied: Arc<Quota<Network>>,
    connections: Arc<Quota<String>>,
    sessions: Arc<Quota<String>>,
    forwards: Arc<Quota<String>>,
    listeners: Arc<Quota<String>>,
    early: LoginPressure,
    /// The time to log in, at most and at least.
    grace: (Duration, Duration),
}

impl Quotas {
    pub(crate) fn new(limits: &Limits) -> Self {
        let pre_auth = (limits.starts, Full::Starts);
        Self {
            early: limits.early,
            grace: (limits.login_grace, limits.least_login_grace),
            pre_auth: Quota::new(
                pre_auth,
                (limits.starts_per_address, Full::StartsPerAddress),
            ),
            proxied: Quota::new(pre_auth, pre_auth),
            connections: Quota::new(
                (limits.connections, Full::Connections),
                (limits.connections_per_user, Full::ConnectionsPerUser),
            ),
            sessions: Quota::new(
                (limits.sessions, Full::Sessions),
                (limits.sessions_per_user, Full::SessionsPerUser),
            ),
            forwards: Quota::new(
                (limits.forwards, Full::Forwards),
                (limits.forwards_per_user, Full::ForwardsPerUser),
            ),
            listeners: Quota::new(
                (limits.listeners, Full::Listeners),
                (limits.listeners_per_user, Full::ListenersPerUser),
            ),
        }
    }

    /// A slot for a client at `address` that is about to log in.
    pub(crate) fn pre_auth(&self, address: IpAddr) -> Result<PreAuthSlot, Full> {
        let address = Network::of(address);
        let (taken, held) = self.pre_auth.taken(&address);
        if self.early.has_its_share(taken, held) {
            return Err(Full::StartsPerAddress);
        }
        let hundred = Duration::from_secs(100);
        let lot = jitter::between(Duration::ZERO, hundred).as_secs_f64();
        if self.early.refuses(taken, lot) {
            return Err(Full::EarlyStarts);
        }
        Quota::take(&self.pre_auth, address)
    }

    /// The time in which a client has to log in, with as many slots taken as are now.
    pub(crate) fn login_grace(&self) -> Duration {
        let (whole, least) = self.grace;
        let taken = self.pre_auth.lock().total;
        self.early.grace(taken, whole, least)
    }

    /// A slot for a connection through a proxy, until the client's address is known. Such connections
    /// have a quota of their own, so a proxy may have more of them than one client.
    pub(crate) fn proxied(&self, proxy: IpAddr) -> Result<PreAuthSlot, Full> {
        Quota::take(&self.proxied, Network::of(proxy))
    }

    /// A slot for a connection of a user who has logged in.
    pub(crate) fn connection(&self, user: &str) -> Result<ConnectionSlot, Full> {
        Quota::take(&self.connections, user.to_owned())
    }

    /// A slot for one more session of `user`.
    pub(crate) fn session(&self, user: &str) -> Result<SessionSlot, Full> {
        Quota::take(&self.sessions, user.to_owned())
    }

    /// For one more forwarded connection of `user`.
    pub(crate) fn forward(&self, user: &str) -> Result<ForwardSlot, Full> {
        Quota::take(&self.forwards, user.to_owned())
    }

    /// For one more listener of `user`.
    pub(crate) fn listener(&self, user: &str) -> Result<ListenerSlot, Full> {
        Quota::take(&self.listeners, user.to_owned())
    }
}

/// A number of slots, in total and per key. Only keys that hold a slot are stored, so the total bounds
/// the memory, too.
#[derive(Debug)]
struct Quota<K> {
    total: (usize, Full),
    per_key: (usize, Full),
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    total: usize,
    per_key: HashMap<K, usize>,
}

impl<K: Clone + Eq + Hash> Quota<K> {
    fn new(total: (usize, Full), per_key: (usize, Full)) -> Arc<Self> {
        let taken = Mutex::new(Taken {
            total: 0,
            per_key: HashMap::new(),
        });
        Arc::new(Self {
            total,
            per_key,
            taken,
        })
    }

    fn take(this: &Arc<Self>, key: K) -> Result<Slot<K>, Full> {
        let mut taken = this.lock();
        // The limit per key is checked first: its owner can do something about it.
        let (most, full) = this.per_key;
        if taken.per_key.get(&key).is_some_and(|slots| *slots >= most) {
            return Err(full);
        }
        let (most, full) = this.total;
        if taken.total >= most {
            return Err(full);
        }
        taken.total += 1;
        *taken.per_key.entry(key.clone()).or_default() += 1;
        let quota = Arc::clone(this);
        Ok(Slot { quota, key })
    }
}

impl<K: Eq + Hash> Quota<K> {
    /// How many slots are taken, in total and by this key.
    fn taken(&self, key: &K) -> (usize, usize) {
        let taken = self.lock();
        (taken.total, taken.per_key.get(key).copied().unwrap_or(0))
    }
}

impl<K> Quota<K> {
    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One taken slot; free again on drop.
#[derive(Debug)]
#[must_use]
pub(crate) struct Slot<K: Eq + Hash> {
    quota: Arc<Quota<K>>,
    key: K,
}

impl<K: Eq + Hash> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut taken = self.quota.lock();
        taken.total = taken.total.saturating_sub(1);
        if let Some(slots) = taken.per_key.get_mut(&self.key) {
            *slots = slots.saturating_sub(1);
            if *slots == 0 {
                taken.per_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(total: usize, per_key: usize) -> Arc<Quota<&'static str>> {
        Quota::new((total, Full::Sessions), (per_key, Full::SessionsPerUser))
    }

    /// Slots that are taken, and keys that hold one.
    fn taken(quota: &Quota<&str>) -> (usize, usize) {
        let taken = quota.lock();
        (taken.total, taken.per_key.len())
    }

    #[test]
    fn each_key_and_all_have_their_bound() {
        let quota = quota(3, 2);
        let take = |key| Quota::take(&quota, key);
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
    fn a_refusal_takes_no_slot_and_an_end_leaves_nothing() {
        let quota = quota(2, 1);
        let slots: Vec<_> = ["ada", "ada", "grace", "alan"]
            .into_iter()
            .filter_map(|key| Quota::take(&quota, key).ok())
            .collect();
        assert_eq!((slots.len(), taken(&quota)), (2, (2, 2)));
        drop(slots);
        assert_eq!(taken(&quota), (0, 0));
    }

    #[test]
    fn a_slot_of_another_thread_counts_and_is_given_back_even_by_a_panic() {
        let quota = quota(8, 8);
        let threads: Vec<_> = (0..8)
            .map(|i| {
                let quota = Arc::clone(&quota);
                std::thread::spawn(move || {
                    for _ in 0..1000 {
                        let _slot = Quota::take(&quota, "ada").unwrap();
                    }
                    let _slot = Quota::take(&quota, "ada").unwrap();
                    assert!(i % 2 == 0, "every other thread panics");
                })
            })
            .collect();
        let panicked = threads
            .into_iter()
            .filter_map(|thread| thread.join().err())
            .count();
        assert_eq!(panicked, 4);
        assert_eq!(taken(&quota), (0, 0));
    }
}
