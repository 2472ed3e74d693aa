//! How many sessions of each action may run at once on this node, of one user and of all, and how many
//! requests may wait to become one. A session counts until nothing is left of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::admit::Served;
use crate::refusal::Refusal;

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    User,
    Node,
}

impl Full {
    /// The limit's key in the configuration.
    pub(crate) fn limit(self) -> &'static str {
        match self {
            Self::User => "sessionsPerUser",
            Self::Node => "sessions",
        }
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        match full {
            Full::User => Self::full_for_user(),
            Full::Node => Self::full(),
        }
    }
}

/// One quota for each action that is served, and one for requests, which are nobody's yet.
#[derive(Debug)]
pub(crate) struct Quotas {
    exec: Arc<Quota>,
    openings: Arc<Quota>,
}

#[derive(Debug)]
struct Quota {
    all: usize,
    each: usize,
    /// By user; only users who have a session are here.
    taken: Mutex<HashMap<String, usize>>,
}

/// A slot. It is free again once all clones of this are dropped.
#[derive(Clone, Debug)]
#[must_use]
pub(crate) struct Slot {
    _taken: Arc<Taken>,
}

#[derive(Debug)]
struct Taken {
    quota: Arc<Quota>,
    user: String,
}

impl Quotas {
    pub(crate) fn new(sessions: usize, per_user: usize, openings: usize) -> Self {
        Self {
            exec: Quota::new(sessions, per_user),
            openings: Quota::new(openings, openings),
        }
    }

    /// How many sessions and requests there may be together.
    pub(crate) fn most(&self) -> usize {
        self.exec.all.saturating_add(self.openings.all)
    }

    /// Takes a slot for a request that has not said yet what it asks for, if any is free.
    pub(crate) fn open(&self) -> Option<Slot> {
        Quota::claim(&self.openings, "").ok()
    }

    /// Takes one of the action's slots for the user who acts, if any is free.
    pub(crate) fn claim(&self, served: &Served, user: &str) -> Result<Slot, Full> {
        match served {
            Served::Exec(..) => Quota::claim(&self.exec, user),
        }
    }
}

impl Quota {
    fn new(all: usize, each: usize) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self { all, each, taken })
    }

    fn claim(this: &Arc<Self>, user: &str) -> Result<Slot, Full> {
        let mut taken = this.lock();
        // The user's own limit is checked first, because the user can do something about it.
        if taken.get(user).is_some_and(|own| *own >= this.each) {
            return Err(Full::User);
        }
        if taken.values().sum::<usize>() >= this.all {
            return Err(Full::Node);
        }
        let (quota, user) = (Arc::clone(this), user.to_owned());
        *taken.entry(user.clone()).or_default() += 1;
        let _taken = Arc::new(Taken { quota, user });
        Ok(Slot { _taken })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = self.quota.lock();
        let own = taken.get_mut(&self.user);
        let left = own.map_or(0, |own| {
            *own = own.saturating_sub(1);
            *own
        });
        if left == 0 {
            taken.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use podgate_proto::v1::{Exec, WorkingDirectory};

    use super::*;

    #[test]
    fn a_user_has_a_share_of_the_node() {
        let quotas = Quotas::new(3, 2, 1);
        let claim = |user| {
            quotas.claim(
                &Served::Exec(Exec::default(), WorkingDirectory::Image),
                user,
            )
        };
        let (first, _second) = (claim("ada").unwrap(), claim("ada").unwrap());
        assert_eq!(claim("ada").unwrap_err(), Full::User);
        let third = claim("grace").unwrap();
        assert_eq!(claim("grace").unwrap_err(), Full::Node);
        assert_eq!(claim("ada").unwrap_err(), Full::User);
        drop(third);
        assert_eq!(quotas.exec.lock().len(), 1);
        drop(first);
        let _again = claim("ada").unwrap();
        assert_eq!(claim("ada").unwrap_err(), Full::User);
    }

    #[test]
    fn a_slot_is_free_once_all_who_hold_it_are_gone() {
        let quotas = Quotas::new(1, 1, 1);
        let slot = quotas.open().unwrap();
        let other = slot.clone();
        drop(slot);
        assert!(quotas.open().is_none());
        drop(other);
        assert!(quotas.open().is_some());
    }
}
