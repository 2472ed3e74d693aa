//! How many there may be at a time: on the node, in a container, and of a user. A place is given back
//! when it is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use podgate_node_entry::ids::{ContainerId, User};
use podgate_node_entry::reason::Bound;

/// The most of one kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) of_node: usize,
    pub(crate) of_container: usize,
    pub(crate) of_user: usize,
}

/// The words for one kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    of_node: Bound,
    of_container: Bound,
    of_user: Bound,
}

pub(crate) const STARTS: Words = Words {
    of_node: Bound::StartsOfNode,
    of_container: Bound::StartsOfContainer,
    of_user: Bound::StartsOfUser,
};
pub(crate) const PROGRAMS: Words = Words {
    of_node: Bound::ProgramsOfNode,
    of_container: Bound::ProgramsOfContainer,
    of_user: Bound::ProgramsOfUser,
};

#[derive(Debug, Default)]
struct Taken {
    of_node: usize,
    of_container: HashMap<ContainerId, usize>,
    of_user: HashMap<User, usize>,
}

/// All of one kind.
#[derive(Debug)]
pub(crate) struct Counts {
    words: Words,
    most: Most,
    taken: Mutex<Taken>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Place {
    counts: Arc<Counts>,
    container: ContainerId,
    /// None once it counts for its container alone.
    user: Option<User>,
}

impl Counts {
    pub(crate) fn new(words: Words, most: Most) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self { words, most, taken })
    }

    pub(crate) fn take(
        self: &Arc<Self>,
        container: &ContainerId,
        user: &User,
    ) -> Result<Place, Bound> {
        let mut taken = self.lock();
        if taken.of_node >= self.most.of_node {
            return Err(self.words.of_node);
        }
        if taken
            .of_container
            .get(container)
            .is_some_and(|&n| n >= self.most.of_container)
        {
            return Err(self.words.of_container);
        }
        if taken
            .of_user
            .get(user)
            .is_some_and(|&n| n >= self.most.of_user)
        {
            return Err(self.words.of_user);
        }
        taken.of_node += 1;
        *taken.of_container.entry(container.clone()).or_default() += 1;
        *taken.of_user.entry(user.clone()).or_default() += 1;
        Ok(Place {
            counts: self.clone(),
            container: container.clone(),
            user: Some(user.clone()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Has it count for its container alone: what is stuck there is nobody else's loss.
    pub(crate) fn keep_to_container(&mut self) {
        if let Some(user) = self.user.take() {
            let mut taken = self.counts.lock();
            taken.of_node = taken.of_node.saturating_sub(1);
            less(&mut taken.of_user, &user);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.keep_to_container();
        less(&mut self.counts.lock().of_container, &self.container);
    }
}

fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_holds_and_is_given_back() {
        let most = Most {
            of_node: 4,
            of_container: 2,
            of_user: 3,
        };
        let counts = Counts::new(STARTS, most);
        let take = |container: char, user: &str| {
            let container = container.to_string().repeat(64).try_into().unwrap();
            counts.take(&container, &user.to_owned().try_into().unwrap())
        };
        let mut places = vec![take('a', "ann").unwrap(), take('a', "ann").unwrap()];
        assert_eq!(take('a', "bob").err(), Some(Bound::StartsOfContainer));
        places.push(take('b', "ann").unwrap());
        assert_eq!(take('c', "ann").err(), Some(Bound::StartsOfUser));
        places.push(take('c', "bob").unwrap());
        assert_eq!(take('d', "cid").err(), Some(Bound::StartsOfNode));
        // What is stuck in a container is still counted there.
        places[0].keep_to_container();
        places.push(take('d', "ann").unwrap());
        assert_eq!(take('a', "bob").err(), Some(Bound::StartsOfNode));
        places.truncate(1);
        places.push(take('a', "bob").unwrap());
        assert_eq!(take('a', "bob").err(), Some(Bound::StartsOfContainer));
        drop(places);
        let taken = counts.lock();
        assert_eq!(
            (taken.of_node, taken.of_container.len(), taken.of_user.len()),
            (0, 0, 0)
        );
    }
}
