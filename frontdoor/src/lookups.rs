//! How often each user may make this frontdoor ask the API server, counted over all cores. The answers
//! that serve many sessions are kept, so only unusual users come near the bound.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use lru::LruCache;
use podgate_process::bucket::Bucket;

/// Users whose rate is kept. The rate of one who is dropped starts anew.
const USERS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");

/// A user's rate is used up. The user reads this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("you have reached the limit of look-ups per user; try again in a moment")]
pub(crate) struct TooMany;

impl TooMany {
    /// The limit's key in the configuration.
    pub(crate) const LIMIT: &'static str = "lookupsPerUserPerMinute";
}

#[derive(Debug)]
pub(crate) struct Lookups {
    a_minute: u32,
    users: Mutex<LruCache<String, Bucket>>,
}

impl Lookups {
    /// `a_minute` questions per minute for each user; all of them may come at once.
    pub(crate) fn new(a_minute: u32) -> Self {
        Self {
            a_minute,
            users: Mutex::new(LruCache::new(USERS)),
        }
    }

    /// Takes one question from the user's rate.
    pub(crate) fn take(&self, user: &str) -> Result<(), TooMany> {
        let now = Instant::now();
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = users.get_mut(user) {
            return bucket.take(now).then_some(()).ok_or(TooMany);
        }
        let mut bucket = Bucket::a_minute(self.a_minute, now);
        let taken = bucket.take(now);
        users.put(user.to_owned(), bucket);
        taken.then_some(()).ok_or(TooMany)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_a_rate() {
        let lookups = Lookups::new(2);
        for _ in 0..2 {
            lookups.take("ada").unwrap();
        }
        assert_eq!(lookups.take("ada"), Err(TooMany));
        lookups.take("grace").unwrap();
    }
}
