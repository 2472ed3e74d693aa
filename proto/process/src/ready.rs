//! Readiness: a task holds a guard for as long as the program cannot serve without it. The program is
//! ready when no guard is held, and `/readyz` names what is still waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a program still waits for. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<Mutex<Vec<&'static str>>>);

/// The program is not ready until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Waiting {
    what: &'static str,
    ready: Ready,
}

impl Ready {
    /// Makes the program wait for something, which completes "waits for …".
    pub fn wait_for(&self, what: &'static str) -> Waiting {
        self.lock().push(what);
        let ready = self.clone();
        Waiting { what, ready }
    }

    /// What is waited for, in the order of the guards; `None` once the program is ready.
    pub fn waits(&self) -> Option<String> {
        let waits = self.lock();
        (!waits.is_empty()).then(|| waits.join(", "))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<&'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waits = self.ready.lock();
        if let Some(at) = waits.iter().position(|what| *what == self.what) {
            waits.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_named_until_nothing_is() {
        let ready = Ready::default();
        assert_eq!(ready.waits(), None);
        let (pods, again) = (ready.wait_for("pods"), ready.wait_for("pods"));
        let certificate = ready.clone().wait_for("a certificate");
        assert_eq!(ready.waits().as_deref(), Some("pods, pods, a certificate"));
        drop(pods);
        assert_eq!(ready.waits().as_deref(), Some("pods, a certificate"));
        drop((again, certificate));
        assert_eq!(ready.waits(), None);
    }
}
