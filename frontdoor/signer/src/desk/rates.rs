//! Rate limits: certificates a minute, for one identity and for all; and tokens that are looked at, for
//! one address. Bounded: only the latest identities and addresses are kept.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use podgate_process::bucket::Bucket;
use podgate_process::token_rates::TokenRates;

/// Identities whose rate is kept. The rate of one that is dropped starts anew.
const IDENTITIES: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");

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

#[derive(Debug)]
pub(super) struct Rates {
    each_a_minute: u32,
    all_a_minute: u32,
    each: LruCache<String, Bucket>,
    all: Bucket,
    asked: TokenRates,
    refused_a_minute: u32,
}

impl Rates {
    pub(super) fn new(each_a_minute: u32, all_a_minute: u32, refused_a_minute: u32) -> Self {
        Self {
            each_a_minute,
            all_a_minute,
            each: LruCache::new(IDENTITIES),
            all: Bucket::a_minute(all_a_minute, Instant::now()),
            asked: TokenRates::new(refused_a_minute),
            refused_a_minute,
        }
    }

    /// Takes one certificate from the rate of `identity` and from the rate of all. An identity whose
    /// own rate is used up takes nothing from the others.
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

    /// Counts a token of this client's address.
    pub(super) fn ask(&mut self, client: IpAddr, now: Instant) -> Result<(), Spent> {
        let may = self.asked.ask(client, now);
        may.then_some(()).ok_or(Spent::Client)
    }

    /// Gives a token back: it was good, and the identity's own rate counts the certificate.
    pub(super) fn give_back(&mut self, client: IpAddr) {
        self.asked.give_back(client);
    }

    /// How long a refused client should wait.
    pub(super) fn again(&self, spent: Spent) -> Duration {
        let a_minute = match spent {
            Spent::Identity => self.each_a_minute,
            Spent::All => self.all_a_minute,
            Spent::Client => self.refused_a_minute,
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
        let mut rates = Rates::new(2, 3, 60);
        let mut take = |who: &str, seconds| rates.take(who, after(seconds));
        assert_eq!(take("ada", 0), Ok(()));
        assert_eq!(take("ada", 0), Ok(()));
        assert_eq!(take("ada", 0), Err(Spent::Identity));
        // The refused attempts did not use up the common rate.
        assert_eq!(take("bob", 0), Ok(()));
        assert_eq!(take("bob", 0), Err(Spent::All));
        assert_eq!(take("ada", 29), Err(Spent::Identity));
        assert_eq!(take("ada", 31), Ok(()));
        // At most a minute's worth is saved up.
        for _ in 0..2 {
            assert_eq!(take("ada", 3600), Ok(()));
        }
        assert_eq!(take("ada", 3600), Err(Spent::Identity));
        assert_eq!(rates.again(Spent::Identity), Duration::from_secs(30));
        assert_eq!(rates.again(Spent::Client), Duration::from_secs(1));
    }
}
