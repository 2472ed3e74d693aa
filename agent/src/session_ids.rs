//! The ids of this agent's sessions. Each belongs to one session until nothing is left of it: the
//! journal's files are named by them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::refusal::Refusal;

/// The ids in use. The quotas bound how many there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionIds(Arc<Mutex<HashSet<String>>>);

/// An id in use. It is free again once this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct SessionId {
    ids: SessionIds,
    id: String,
}

impl SessionIds {
    /// Takes an id, unless another session has it.
    pub(crate) fn claim(&self, id: &str) -> Result<SessionId, Refusal> {
        if !self.lock().insert(id.to_owned()) {
            return Err(Refusal::protocol("the session's id is in use"));
        }
        let (ids, id) = (self.clone(), id.to_owned());
        Ok(SessionId { ids, id })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SessionId {
    fn drop(&mut self) {
        self.ids.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_free_once_its_session_is_gone() {
        let ids = SessionIds::default();
        let first = ids.claim("a").unwrap();
        let _other = ids.claim("b").unwrap();
        let refused = ids.claim("a").unwrap_err();
        assert_eq!(refused.message, "the session's id is in use");
        // The refusal has not freed it.
        assert!(ids.claim("a").is_err());
        drop(first);
        let _again = ids.claim("a").unwrap();
        assert_eq!(ids.lock().len(), 2);
    }
}
