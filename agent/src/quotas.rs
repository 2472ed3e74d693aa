//! How many sessions of each action may run at once on this node, of one user and of all. A session
//! counts until nothing is left of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// One quota for each action that is served.
#[derive(Debug)]
pub(crate) struct Quotas {
    exec: Quota,
}

#[derive(Debug)]
struct Quota {
    all: usize,
    each: usize,
    /// By user; only users who have a session are here.
    taken: Mutex<HashMap<String, usize>>,
}

/// One session's place; free again on drop.
#[derive(Debug)]
#[must_use]
pub(crate) struct Slot<'a> {
    quota: &'a Quota,
    user: String,
}

impl Quotas {
    pub(crate) fn new(sessions: usize, per_user: usize) -> Self {
        let exec = Quota {
            all: sessions,
            each: per_user,
            taken: Mutex::default(),
        };
        Self { exec }
    }

    /// Takes one of the action's slots for the user who acts, if any is free.
    pub(crate) fn claim(&self, served: &Served, user: &str) -> Result<Slot<'_>, Full> {
        match served {
            Served::Exec(..) => self.exec.claim(user),
        }
    }
}

impl Quota {
    fn claim(&self, user: &str) -> Result<Slot<'_>, Full> {
        let mut taken = self.lock();
        // The user can do something about the first.
        if taken.get(user).is_some_and(|own| *own >= self.each) {
            return Err(Full::User);
        }
        if taken.values().sum::<usize>() >= self.all {
            return Err(Full::Node);
        }
        let user = user.to_owned();
        *taken.entry(user.clone()).or_default() += 1;
        Ok(Slot { quota: self, user })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
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
        let quotas = Quotas::new(3, 2);
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
}
