//! How many certificates there are a minute, for one identity and for all, and how many tokens of
//! whoever is nobody yet the API server is asked about. Bounded: it keeps those that came last.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use podgate_identity::addresses::Network;

use crate::bucket::Bucket;

/// Identities whose rate is known. Whoever falls out begins anew, after so many others came.
const IDENTITIES: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");

/// Clients whose rate is known.
const CLIENTS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");
/// Tokens of one client that the API server is asked about at once, and then a second. Anybody can make
/// up tokens, each as good as any other until it was asked, so they are counted by where they come
/// from: from one bucket for all a stranger would take what honest users need. Whoever gets a
/// certificate has its own back, so that many users behind one address do not run out of it. Where a
/// balancer hides all addresses behind its own, this bounds all strangers together, and they can
/// keep the users out, but not overwhelm the API server.
const ASKED: (u32, f64) = (64, 1.0);

/// Whose rate is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(super) enum Spent {
    #[error("you have reached the limit of certificates per minute; try again later")]
    Identity,
    #[error("too many certificates are requested; try again in a moment")]
    All,
    #[error("too many tokens from your address were refused; try again in a moment")]
    Client,
}

/// The rates of all.
#[derive(Debug)]
pub(super) struct Rates {
    each_a_minute: u32,
    all_a_minute: u32,
    each: LruCache<String, Bucket>,
    all: Bucket,
    asked: LruCache<Network, Bucket>,
}

impl Rates {
    pub(super) fn new(each_a_minute: u32, all_a_minute: u32) -> Self {
        Self {
            each_a_minute,
            all_a_minute,
            each: LruCache::new(IDENTITIES),
            all: Bucket::a_minute(all_a_minute, Instant::now()),
            asked: LruCache::new(CLIENTS),
        }
    }

    /// Takes one of `identity`'s and one of all. Whoever has none left costs the others nothing.
    pub(super) fn take(&mut self, identity: &str, now: Instant) -> Result<(), Spent> {
        let a_minute = self.each_a_minute;
        let full = || Bucket::a_minute(a_minute, now);
        let each = self.each.get_or_insert_mut(identity.to_owned(), full);
        if !each.take(now) {
            return Err(Spent::Identity);
        }
        if !self.all.take(now) {
            return Err(Spent::All);
        }
        Ok(())
    }

    /// Takes a question to the API server, about a token of this client's.
    pub(super) fn ask(&mut self, client: IpAddr, now: Instant) -> Result<(), Spent> {
        let (most, a_second) = ASKED;
        let full = || Bucket::full(most, a_second, now);
        let asked = self.asked.get_or_insert_mut(Network::of(client), full);
        asked.take(now).then_some(()).ok_or(Spent::Client)
    }

    /// Puts it back: the token was good for a certificate, and the identity's own rate counts it.
    pub(super) fn give_back(&mut self, client: IpAddr) {
        if let Some(asked) = self.asked.get_mut(&Network::of(client)) {
            asked.give_back();
        }
    }

    /// How long whoever was refused should wait.
    pub(super) fn again(&self, spent: Spent) -> Duration {
        let a_minute = match spent {
            Spent::Identity => self.each_a_minute,
            Spent::All => self.all_a_minute,
            Spent::Client => return Duration::from_secs(1),
        };
        Duration::from_secs(u64::from(60_u32.div_ceil(a_minute.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_rate_and_all_have_one() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut rates = Rates::new(2, 3);
        let mut take = |who: &str, seconds| rates.take(who, after(seconds));
        assert_eq!(take("ada", 0), Ok(()));
        assert_eq!(take("ada", 0), Ok(()));
        assert_eq!(take("ada", 0), Err(Spent::Identity));
        // Her tries did not cost the others theirs.
        assert_eq!(take("bob", 0), Ok(()));
        assert_eq!(take("bob", 0), Err(Spent::All));
        assert_eq!(take("ada", 29), Err(Spent::Identity));
        assert_eq!(take("ada", 31), Ok(()));
        // No more is saved than a minute's.
        for _ in 0..2 {
            assert_eq!(take("ada", 3600), Ok(()));
        }
        assert_eq!(take("ada", 3600), Err(Spent::Identity));
        assert_eq!(rates.again(Spent::Identity), Duration::from_secs(30));
    }

    #[test]
    fn the_api_server_is_asked_so_often_for_one_address() {
        let now = Instant::now();
        let mut rates = Rates::new(1, 1);
        let (stranger, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        // Good ones cost nothing.
        for _ in 0..1000 {
            assert_eq!(rates.ask(stranger, now), Ok(()));
            rates.give_back(stranger);
        }
        for _ in 0..ASKED.0 {
            assert_eq!(rates.ask(stranger, now), Ok(()));
        }
        assert_eq!(rates.ask(stranger, now), Err(Spent::Client));
        assert_eq!(rates.ask(other, now), Ok(()));
        let later = now + rates.again(Spent::Client);
        assert_eq!(rates.ask(stranger, later), Ok(()));
        assert_eq!(rates.ask(stranger, later), Err(Spent::Client));
    }
}
