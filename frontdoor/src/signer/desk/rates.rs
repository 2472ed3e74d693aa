//! How many certificates there are a minute, for one identity and for all. Bounded: of identities it
//! keeps the ones that came last.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::signer::bucket::Bucket;

/// Identities whose rate is known. Whoever falls out begins anew, after so many others came.
const IDENTITIES: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");

/// Whose rate is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(super) enum Spent {
    #[error("you have had as many certificates as one identity gets in a minute; try again later")]
    Identity,
    #[error("too many certificates are asked for; try again in a moment")]
    All,
}

/// The rates of all.
#[derive(Debug)]
pub(super) struct Rates {
    each_a_minute: u32,
    all_a_minute: u32,
    each: LruCache<String, Bucket>,
    all: Bucket,
}

impl Rates {
    pub(super) fn new(each_a_minute: u32, all_a_minute: u32) -> Self {
        Self {
            each_a_minute,
            all_a_minute,
            each: LruCache::new(IDENTITIES),
            all: Bucket::a_minute(all_a_minute, Instant::now()),
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

    /// How long whoever was refused should wait.
    pub(super) fn again(&self, spent: Spent) -> Duration {
        let a_minute = match spent {
            Spent::Identity => self.each_a_minute,
            Spent::All => self.all_a_minute,
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
}
