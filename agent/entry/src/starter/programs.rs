//! The programs that have been started and may still have to be hung up, each with who holds it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use podgate_node_entry::ids::Handle;
use podgate_node_entry::protocol::Message;
use podgate_node_entry::status::Status;

use super::counts::Place;
use super::journal::{Entry, Journal};
use super::outbox::Outbox;
use super::session::Session;
use crate::record::Connection;

/// A program.
#[derive(Debug)]
struct Program {
    session: Session,
    /// None once nobody holds it.
    holder: Option<Connection>,
    has_ended: bool,
    place: Option<Place>,
}

#[derive(Debug, Default)]
struct State {
    programs: HashMap<Handle, Program>,
    /// Of an earlier entry, until an agent says that it holds them.
    orphans: HashMap<Handle, Entry>,
    connections: HashSet<Connection>,
    /// Hang-ups under way.
    hangups: usize,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Programs {
    state: Mutex<State>,
    journal: Option<Journal>,
    outbox: Outbox,
}

/// A hang-up under way.
#[derive(Debug)]
pub(crate) struct HangUp {
    programs: Arc<Programs>,
    pub(crate) sessions: Vec<(Handle, Session)>,
}

impl Programs {
    pub(crate) fn new(
        journal: Option<Journal>,
        orphans: HashMap<Handle, Entry>,
        outbox: Outbox,
    ) -> Arc<Self> {
        let state = State {
            orphans,
            ..State::default()
        };
        Arc::new(Self {
            state: Mutex::new(state),
            journal,
            outbox,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn connected(&self, connection: Connection) {
        self.lock().connections.insert(connection);
    }

    /// What an earlier entry has started, of these.
    pub(crate) fn orphans(&self, handles: &[Handle]) -> Vec<Entry> {
        let mut state = self.lock();
        handles
            .iter()
            .filter_map(|handle| state.orphans.remove(handle))
            .collect()
    }

    /// Adds one that was started; false if its connection has closed meanwhile.
    pub(crate) fn add(&self, entry: &Entry, holder: Connection, place: Option<Place>) -> bool {
        let (handle, session) = (entry.handle, entry.session());
        let mut state = self.lock();
        if !state.connections.contains(&holder) {
            return false;
        }
        let program = Program {
            session,
            holder: Some(holder),
            has_ended: false,
            place,
        };
        state.programs.insert(handle, program);
        true
    }

    /// Writes one down for the next entry.
    pub(crate) fn note(&self, entry: impl FnOnce(&str) -> Entry) -> Entry {
        let Some(journal) = &self.journal else {
            return entry("");
        };
        let entry = entry(journal.boot());
        journal.put(entry.clone());
        entry
    }

    /// The session of a program that this connection holds.
    pub(crate) fn of(&self, handle: Handle, holder: Connection) -> Option<Session> {
        let state = self.lock();
        let program = state.programs.get(&handle);
        Some(program.filter(|it| it.holder == Some(holder))?.session)
    }

    /// Its leader has ended. What it has left may still have to be hung up, unless a terminal did that.
    pub(crate) fn ended(&self, handle: Handle, status: Option<Status>) {
        let mut state = self.lock();
        let Some(program) = state.programs.get_mut(&handle) else {
            return;
        };
        program.has_ended = true;
        if let Some(holder) = program.holder {
            self.outbox.tell(holder, Message::Ended { handle, status });
        }
        if program.holder.is_none() || program.session.pipes.is_none() {
            state.programs.remove(&handle);
            self.forget(handle);
        } else {
            // What its user may start at a time is no more than what runs.
            program.place = None;
        }
    }

    /// Nothing of it is to be hung up any more. A leader that has not ended still has its place.
    pub(crate) fn release(&self, handle: Handle, holder: Connection) {
        let mut state = self.lock();
        let Some(program) = state.programs.get_mut(&handle) else {
            return self.forget(handle);
        };
        if program.holder != Some(holder) {
            return;
        }
        program.holder = None;
        self.forget(handle);
        if program.has_ended {
            state.programs.remove(&handle);
        }
    }

    /// Waits for a bounded time until the journal knows of all ends.
    pub(crate) fn finish(&self) {
        if let Some(journal) = &self.journal {
            journal.finish();
        }
    }

    fn forget(&self, handle: Handle) {
        if let Some(journal) = &self.journal {
            journal.remove(handle);
        }
    }

    /// What is to be hung up now that a connection has closed.
    pub(crate) fn closed(self: &Arc<Self>, connection: Connection) -> HangUp {
        let mut state = self.lock();
        state.connections.remove(&connection);
        let held = state
            .programs
            .iter_mut()
            .filter(|(_, it)| it.holder == Some(connection));
        let sessions = held.map(|(handle, program)| {
            program.holder = None;
            (*handle, program.session)
        });
        let sessions = sessions.collect();
        self.begin(&mut state, sessions)
    }

    /// What is to be hung up because no agent holds it.
    pub(crate) fn unheld(self: &Arc<Self>) -> HangUp {
        let mut state = self.lock();
        let orphans = state.orphans.drain();
        let sessions = orphans
            .map(|(handle, entry)| (handle, entry.session()))
            .collect();
        self.begin(&mut state, sessions)
    }

    fn begin(self: &Arc<Self>, state: &mut State, sessions: Vec<(Handle, Session)>) -> HangUp {
        state.hangups += 1;
        let programs = self.clone();
        HangUp { programs, sessions }
    }

    /// Whether nobody is connected and nothing is left to be hung up.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.connections.is_empty() && state.hangups == 0
    }
}

impl Drop for HangUp {
    /// All that could be done is done: what is left cannot be killed, and counts for its container alone
    /// until it ends.
    fn drop(&mut self) {
        let mut state = self.programs.lock();
        state.hangups = state.hangups.saturating_sub(1);
        for (handle, _) in &self.sessions {
            self.programs.forget(*handle);
            match state.programs.get_mut(handle) {
                Some(program) if !program.has_ended => {
                    program.place.as_mut().map(Place::keep_to_container);
                }
                _ => drop(state.programs.remove(handle)),
            }
        }
    }
}
