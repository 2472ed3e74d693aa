//! How many sessions each pod has from this frontdoor, over all cores. Only pods that have one are
//! stored, so there are never more of them than sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::affinity::Preference;
use super::ids::Uid;
use super::record::Record;
use crate::login_name::{Candidate, NoneReady, pick};

/// Sessions by the UIDs of their pods.
#[derive(Debug, Default)]
pub(super) struct Loads(Mutex<HashMap<Uid, usize>>);

/// Counts one session for a pod until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct PodSlot {
    loads: Arc<Loads>,
    uid: Uid,
}

impl Loads {
    /// Counts one more session for the pod of this UID.
    pub(super) fn slot(self: &Arc<Self>, uid: &Uid) -> PodSlot {
        self.take(&mut self.lock(), uid)
    }

    /// Picks one of these pods, the preferred one or else the one with the fewest sessions, and counts a
    /// session for it before another caller picks.
    pub(super) fn pick<'a>(
        self: &Arc<Self>,
        pods: &'a [Arc<Record>],
        preferred: Option<&Preference>,
    ) -> Result<(&'a Record, PodSlot), NoneReady> {
        // Hashes are computed before others have to wait.
        let orders = preferred.map(|preferred| pods.iter().map(|pod| preferred.order(&pod.uid)));
        let orders: Option<Vec<_>> = orders.map(Iterator::collect);
        let mut loads = self.lock();
        let sessions = |pod: &Record| loads.get(&pod.uid).copied().unwrap_or_default() as u64;
        let orders = orders.unwrap_or_else(|| pods.iter().map(|pod| sessions(pod)).collect());
        let candidates: Vec<_> = pods
            .iter()
            .zip(orders)
            .map(|(pod, order)| Candidate {
                name: &pod.name,
                ready: pod.ready,
                deleted: pod.deleted,
                order,
            })
            .collect();
        let picked = pick(&candidates)?;
        let pod = pods.iter().find(|pod| *pod.name == *picked.name);
        let pod = pod.ok_or(NoneReady::NoPods)?;
        let slot = self.take(&mut loads, &pod.uid);
        Ok((pod, slot))
    }

    fn take(self: &Arc<Self>, loads: &mut HashMap<Uid, usize>, uid: &Uid) -> PodSlot {
        let uid = uid.clone();
        *loads.entry(uid.clone()).or_default() += 1;
        let loads = Arc::clone(self);
        PodSlot { loads, uid }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uid, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PodSlot {
    fn drop(&mut self) {
        let mut loads = self.loads.lock();
        if let Some(sessions) = loads.get_mut(&self.uid) {
            *sessions = sessions.saturating_sub(1);
            if *sessions == 0 {
                loads.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_given_back_and_leaves_nothing() {
        let loads = Arc::new(Loads::default());
        let slots = ["a", "a", "b"].map(|uid| loads.slot(&Uid::from(uid)));
        let sessions = |uid: &str| loads.lock().get(&Uid::from(uid)).copied();
        assert_eq!((sessions("a"), sessions("b")), (Some(2), Some(1)));
        drop(slots);
        assert!(loads.lock().is_empty());
    }
}
