//! Rate limits: certificates a minute, for one identity and for all; and tokens that the API server is
//! asked about, for one client. Bounded: only the latest identities and clients are kept.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use podgate_identity::addresses::Network;

use podgate_identity::bucket::Bucket;

/// Identities whose rate is kept. One that so many others have pushed out starts anew.
const IDENTITIES: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");

/// Clients whose rate is kept.
const CLIENTS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");
/// How many tokens of one client the API server is asked about at once, and then a second. Anybody can
/// make up tokens, so they are counted by the client's address: from one bucket for all, a stranger
/// could take what honest users need. A token that gets a certificate is given back, so that many users
/// can share an address. If a load balancer hides all addresses behind its own, strangers can keep the
/// users out, but cannot overwhelm the API server.
const ASKED: (u32, f64) = (64, 1.0);

/// Which rate is used up.
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

/// All rates.
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

    /// Takes one certificate from the rate of `identity` and from the rate of all. An identity that has
    /// none left takes nothing from the others.
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

    /// Takes a question to the API server from this client's rate.
    pub(super) fn ask(&mut self, client: IpAddr, now: Instant) -> Result<(), Spent> {
        let (most, a_second) = ASKED;
        let full = || Bucket::full(most, a_second, now);
        let asked = self.asked.get_or_insert_mut(Network::of(client), full);
        asked.take(now).then_some(()).ok_or(Spent::Client)
    }

    /// Gives a question back: its token was good, and the identity's own rate counts the certificate.
    pub(super) fn give_back(&mut self, client: IpAddr) {
        if let Some(asked) = self.asked.get_mut(&Network::of(client)) {
            asked.give_back();
        }
    }

    /// How long a refused client should wait.
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
