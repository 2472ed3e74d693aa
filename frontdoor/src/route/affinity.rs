//! Leads a user who comes back to a target with several pods to the same pod: for a while to the one
//! that they had last, and else to the one that a hash of user, target and pod ranks first. Every
//! frontdoor computes the same hash, so it needs no word from another.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use sha2::{Digest as _, Sha256};

use super::ids::Uid;
use super::record::Record;
use crate::login_name::Target;

/// Users' targets that are remembered, at most. What is forgotten is ranked by the hash alone.
const MOST: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// A user's target.
type Key = [u8; 32];

/// Which pods users had, over all cores.
#[derive(Debug)]
pub(super) struct Affinity {
    /// How long a user's pod is remembered.
    within: Duration,
    last: Mutex<LruCache<Key, (Uid, Instant)>>,
}

/// What one user's target prefers.
#[derive(Debug)]
pub(super) struct Preference {
    key: Key,
    last: Option<Uid>,
}

impl Affinity {
    /// `None` if there is no time in which to come back.
    pub(super) fn new(within: Duration) -> Option<Self> {
        let last = Mutex::new(LruCache::new(MOST));
        (!within.is_zero()).then_some(Self { within, last })
    }

    /// What `user` prefers of the target's pods. Whichever container is asked for, the pod is the same.
    pub(super) fn preference(&self, user: &str, target: &Target) -> Preference {
        let target = target.without_container().to_string();
        let digest = Sha256::new().chain_update(user).chain_update([0]);
        let key: Key = digest.chain_update(target).finalize().into();
        let last = self.lock().get(&key).cloned();
        let last = last.filter(|(_, when)| when.elapsed() < self.within);
        Preference {
            key,
            last: last.map(|(uid, _)| uid),
        }
    }

    /// Remembers that it led to a pod.
    pub(super) fn led_to(&self, preference: Preference, pod: &Record) {
        let led = (pod.uid.clone(), Instant::now());
        self.lock().put(preference.key, led);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Key, (Uid, Instant)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Preference {
    /// A pod's place in the order: the lowest is preferred.
    pub(super) fn order(&self, uid: &Uid) -> u64 {
        if self.last.as_ref() == Some(uid) {
            return 0;
        }
        let digest = Sha256::new().chain_update(self.key);
        let digest = digest.chain_update(uid.to_string()).finalize();
        let rank = digest
            .iter()
            .take(8)
            .fold(0, |rank: u64, byte| rank << 8 | u64::from(*byte));
        rank.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(affinity: &Affinity, user: &str, target: &str, pods: &[&str]) -> String {
        let target = Target::parse(target, "prod").unwrap();
        let preference = affinity.preference(user, &target);
        let pods = pods.iter().map(|pod| Uid::from(*pod));
        let first = pods.min_by_key(|pod| preference.order(pod)).unwrap();
        first.to_string()
    }

    #[test]
    fn frontdoors_agree_and_users_differ() {
        let hour = Duration::from_secs(3600);
        let (one, other) = (Affinity::new(hour).unwrap(), Affinity::new(hour).unwrap());
        let pods = ["a", "b", "c", "d"];
        let led: Vec<_> = (0..40)
            .map(|n| first(&one, &format!("user-{n}"), "deploy/web", &pods))
            .collect();
        for (n, led) in led.iter().enumerate() {
            let user = format!("user-{n}");
            assert_eq!(first(&other, &user, "deploy/web.prod", &pods), *led);
            assert_eq!(first(&other, &user, "deploy/web.prod+side", &pods), *led);
            // A pod that goes moves nobody who was not there.
            let left: Vec<_> = pods.into_iter().filter(|pod| *pod != "a").collect();
            let moved = first(&other, &user, "deploy/web", &left);
            assert!(led == "a" || moved == *led, "{user}: {led} {moved}");
        }
        for pod in pods {
            assert!(led.iter().any(|led| led == pod), "nobody is in {pod}");
        }
    }

    #[test]
    fn the_last_pod_is_kept_for_a_while() {
        let target = Target::parse("app=web", "prod").unwrap();
        let check = |within, kept: bool| {
            let affinity = Affinity::new(within).unwrap();
            let ranked = affinity.preference("ada", &target);
            let mut pods = ["a", "b", "c", "d"].map(Uid::from);
            pods.sort_by_key(|pod| ranked.order(pod));
            let [.., worst] = &pods;
            affinity
                .lock()
                .put(ranked.key, (worst.clone(), Instant::now()));
            let now = affinity.preference("ada", &target);
            let first = pods.iter().min_by_key(|pod| now.order(pod)).unwrap();
            assert_eq!(first == worst, kept, "{within:?}");
        };
        check(Duration::from_secs(3600), true);
        check(Duration::from_nanos(1), false);
        assert!(Affinity::new(Duration::ZERO).is_none());
    }
}
