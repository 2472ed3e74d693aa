//! How many sessions of each action may run at once on this node, of one user and of all, and how many
//! requests may wait to become one. A session counts until nothing is left of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::admit::Served;
use crate::forward::ForwardRequest;
use crate::refusal::Refusal;

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    User(Kind),
    Node(Kind),
}

/// What counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Exec,
    Files,
    Dial,
    Listen,
}

impl Kind {
    fn of(served: &Served) -> Self {
        match served {
            Served::Exec(..) => Self::Exec,
            Served::Files(..) => Self::Files,
            Served::Forward(ForwardRequest::Listen(_)) => Self::Listen,
            Served::Forward(_) => Self::Dial,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Exec => "sessions",
            Self::Files => "file transfers",
            Self::Dial => "forwarded connections",
            Self::Listen => "listeners",
        }
    }
}

impl Full {
    /// The limit's key in the configuration.
    pub(crate) fn limit(self) -> &'static str {
        match self {
            Self::User(Kind::Exec) => "sessionsPerUser",
            Self::Node(Kind::Exec) => "sessions",
            Self::User(Kind::Files) => "transfersPerUser",
            Self::Node(Kind::Files) => "transfers",
            Self::User(Kind::Dial) => "forwardsPerUser",
            Self::Node(Kind::Dial) => "forwards",
            Self::User(Kind::Listen) => "listenersPerUser",
            Self::Node(Kind::Listen) => "listeners",
        }
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        match full {
            Full::User(kind) => Self::full_for_user(kind.words()),
            Full::Node(kind) => Self::full(kind.words()),
        }
    }
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) all: usize,
    pub(crate) of_a_user: usize,
}

/// One quota for each action that is served, and one for requests, which are nobody's yet.
#[derive(Debug)]
pub(crate) struct Quotas {
    exec: Arc<Quota>,
    files: Arc<Quota>,
    dial: Arc<Quota>,
    listen: Arc<Quota>,
    openings: Arc<Quota>,
}

#[derive(Debug)]
struct Quota {
    most: Most,
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
    pub(crate) fn new(
        (exec, files): (Most, Most),
        (dial, listen): (Most, Most),
        openings: usize,
    ) -> Self {
        Self {
            exec: Quota::new(exec),
            files: Quota::new(files),
            dial: Quota::new(dial),
            listen: Quota::new(listen),
            openings: Quota::new(Most {
                all: openings,
                of_a_user: openings,
            }),
        }
    }

    /// How many sessions and requests there may be together.
    pub(crate) fn most(&self) -> usize {
        let quotas = [&self.exec, &self.files, &self.dial, &self.listen];
        let quotas = quotas.into_iter().chain([&self.openings]);
        quotas.map(|quota| quota.most.all).sum()
    }

    /// Takes a slot for a request that has not said yet what it asks for, if any is free.
    pub(crate) fn open(&self) -> Option<Slot> {
        Quota::claim(&self.openings, "", Kind::Exec).ok()
    }

    /// Takes one of the action's slots for the user who acts, if any is free.
    pub(crate) fn claim(&self, served: &Served, user: &str) -> Result<Slot, Full> {
        let kind = Kind::of(served);
        let quota = match kind {
            Kind::Exec => &self.exec,
            Kind::Files => &self.files,
            Kind::Dial => &self.dial,
            Kind::Listen => &self.listen,
        };
        Quota::claim(quota, user, kind)
    }
}

impl Quota {
    fn new(most: Most) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self { most, taken })
    }

    fn claim(this: &Arc<Self>, user: &str, kind: Kind) -> Result<Slot, Full> {
        let mut taken = this.lock();
        // The user's own limit is checked first, because the user can do something about it.
        if taken
            .get(user)
            .is_some_and(|own| *own >= this.most.of_a_user)
        {
            return Err(Full::User(kind));
        }
        if taken.values().sum::<usize>() >= this.most.all {
            return Err(Full::Node(kind));
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
    use podgate_proto::v1::files::Protocol;
    use podgate_proto::v1::{Exec, Files, FilesRights, Sftp, WorkingDirectory};

    use super::*;
    use crate::files::FilesRequest;

    #[test]
    fn a_user_has_a_share_of_the_node() {
        let most = |all, of_a_user| Most { all, of_a_user };
        let quotas = Quotas::new((most(3, 2), most(1, 1)), (most(1, 1), most(1, 1)), 1);
        let claim = |user| {
            quotas.claim(
                &Served::Exec(Exec::default(), WorkingDirectory::Image),
                user,
            )
        };
        let rights = FilesRights {
            read: true,
            ..FilesRights::default()
        };
        let sftp = Some(Protocol::Sftp(Sftp::default()));
        let files = FilesRequest::check(Files { protocol: sftp }, Some(rights)).unwrap();
        let files = Served::Files(files, WorkingDirectory::Image);
        let _transfer = quotas.claim(&files, "ada").unwrap();
        let full = quotas.claim(&files, "grace").unwrap_err();
        assert_eq!(full, Full::Node(Kind::Files));
        let (first, _second) = (claim("ada").unwrap(), claim("ada").unwrap());
        assert_eq!(claim("ada").unwrap_err(), Full::User(Kind::Exec));
        let third = claim("grace").unwrap();
        assert_eq!(claim("grace").unwrap_err(), Full::Node(Kind::Exec));
        assert_eq!(claim("ada").unwrap_err(), Full::User(Kind::Exec));
        drop(third);
        assert_eq!(quotas.exec.lock().len(), 1);
        drop(first);
        let _again = claim("ada").unwrap();
        assert_eq!(claim("ada").unwrap_err(), Full::User(Kind::Exec));
    }

    #[test]
    fn a_slot_is_free_once_all_who_hold_it_are_gone() {
        let one = Most {
            all: 1,
            of_a_user: 1,
        };
        let quotas = Quotas::new((one, one), (one, one), 1);
        let slot = quotas.open().unwrap();
        let other = slot.clone();
        drop(slot);
        assert!(quotas.open().is_none());
        drop(other);
        assert!(quotas.open().is_some());
    }
}
