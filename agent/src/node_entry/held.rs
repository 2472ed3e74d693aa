//! The programs that this agent holds, by their handles: what is known of the end of each.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use podgate_node_entry::ids::Handle;
use podgate_node_entry::protocol::MAX_HELD;
use podgate_node_entry::status::Status;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, watch};

/// What the entry has said of a program's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    /// Without a status, only its pidfd may know it.
    Ended {
        status: Option<Status>,
        /// Whether it was killed, and its container's memory limit was reached.
        memory_limit: bool,
    },
    /// The entry that started it is gone, and no other will know its status.
    Lost,
}

/// The programs of all cores.
#[derive(Debug, Default)]
pub(super) struct Held {
    state: Mutex<State>,
    more: Notify,
}

/// The other end of a program's terminal. Whoever has the session closes it.
pub(crate) type Master = AsyncFd<OwnedFd>;

#[derive(Debug)]
struct Program {
    told: watch::Sender<Told>,
    master: Weak<Master>,
}

#[derive(Debug, Default)]
struct State {
    programs: HashMap<Handle, Program>,
    /// Of which the entry has not been told yet.
    released: Vec<Handle>,
}

impl Program {
    /// What is said first counts.
    fn tell(&self, said: Told) {
        self.told.send_if_modified(|told| {
            let first = *told == Told::Nothing;
            if first {
                *told = said;
            }
            first
        });
    }
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_full(&self) -> bool {
        let state = self.lock();
        state.programs.len() + state.released.len() >= MAX_HELD
    }

    pub(super) fn add(&self, handle: Handle) -> watch::Receiver<Told> {
        let (told, receiver) = watch::channel(Told::Nothing);
        let master = Weak::new();
        let program = Program { told, master };
        self.lock().programs.insert(handle, program);
        receiver
    }

    /// Lends the other end of a program's terminal to each entry to come, while the session has it.
    pub(super) fn lend(&self, handle: Handle, master: &Arc<Master>) {
        if let Some(program) = self.lock().programs.get_mut(&handle) {
            program.master = Arc::downgrade(master);
        }
    }

    /// What is lent.
    pub(super) fn masters(&self) -> Vec<(Handle, Arc<Master>)> {
        let state = self.lock();
        let all = state.programs.iter();
        all.filter_map(|(handle, program)| Some((*handle, program.master.upgrade()?)))
            .collect()
    }

    pub(super) fn ended(&self, handle: Handle, status: Option<Status>, memory_limit: bool) {
        if let Some(program) = self.lock().programs.get(&handle) {
            program.tell(Told::Ended {
                status,
                memory_limit,
            });
        }
    }

    /// The entry that has started all of them is gone.
    pub(super) fn lost(&self) {
        for program in self.lock().programs.values() {
            program.tell(Told::Lost);
        }
    }

    /// Nothing of it is to be hung up any more.
    pub(super) fn release(&self, handle: Handle) {
        let mut state = self.lock();
        if state.programs.remove(&handle).is_some() {
            state.released.push(handle);
            self.more.notify_one();
        }
    }

    /// Nobody holds it here any more, but it was not hung up: the entry does that once it finds that no
    /// connection holds it.
    pub(super) fn abandon(&self, handle: Handle) {
        self.lock().programs.remove(&handle);
    }

    /// What a new connection says that it holds. What was released meanwhile is among it, so that it is
    /// not hung up.
    pub(super) fn all(&self) -> Vec<Handle> {
        let state = self.lock();
        let mut all: Vec<Handle> = state.programs.keys().copied().collect();
        all.extend(&state.released);
        all.truncate(MAX_HELD);
        all
    }

    /// Waits until some were released, and takes these.
    pub(super) async fn released(&self) -> Vec<Handle> {
        loop {
            let released = std::mem::take(&mut self.lock().released);
            if !released.is_empty() {
                return released;
            }
            self.more.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn what_is_said_first_of_an_end_counts() {
        let held = Held::default();
        let (one, other) = (held.add(Handle(1)), held.add(Handle(2)));
        let status = Some(Status::Exited(3));
        held.ended(Handle(1), status, true);
        held.lost();
        held.ended(Handle(2), None, false);
        let ended = Told::Ended {
            status,
            memory_limit: true,
        };
        assert_eq!(*one.borrow(), ended);
        assert_eq!(*other.borrow(), Told::Lost);
    }

    #[test]
    fn what_is_abandoned_is_neither_held_nor_released() {
        let held = Held::default();
        let _told = held.add(Handle(1));
        held.abandon(Handle(1));
        held.release(Handle(1));
        assert!(held.all().is_empty());
        assert_eq!(held.released().now_or_never(), None);
    }

    #[test]
    fn what_is_released_is_held_until_the_entry_is_told() {
        let held = Held::default();
        let _told = held.add(Handle(1));
        held.release(Handle(1));
        held.release(Handle(2));
        assert_eq!(held.all(), [Handle(1)]);
        assert_eq!(held.released().now_or_never(), Some(vec![Handle(1)]));
        assert_eq!(held.released().now_or_never(), None);
        assert!(held.all().is_empty());
    }
}
