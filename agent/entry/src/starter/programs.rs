//! The programs that have been started and may still have to be hung up, each with who holds it.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use podgate_helper::ticks;
use podgate_node_entry::ids::Handle;
use podgate_node_entry::protocol::Message;
use podgate_node_entry::status::Status;
use rustix::termios::tcgetpgrp;

use super::counts::Place;
use super::journal::{Entry, Journal};
use super::outbox::Outbox;
use super::session::{HungUp, Session};
use crate::processes;
use crate::record::Connection;

/// A program.
#[derive(Debug)]
struct Program {
    entry: Entry,
    /// A copy of its terminal's other end, until that hangs up: it tells which group is in the foreground.
    master: Option<OwnedFd>,
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
    /// Terminals that hang up as these are closed.
    pub(crate) masters: Vec<OwnedFd>,
}

impl State {
    /// A program that this connection holds.
    fn held(&mut self, handle: Handle, holder: Connection) -> Option<&mut Program> {
        let program = self.programs.get_mut(&handle)?;
        (program.holder == Some(holder)).then_some(program)
    }
}

impl Program {
    /// Whether its terminal's other end is not here.
    fn needs_master(&self) -> bool {
        self.can_hang_up() && self.master.is_none()
    }

    /// Whether it has a terminal that has not hung up.
    fn can_hang_up(&self) -> bool {
        self.entry.pipes.is_none() && self.entry.hung_up.is_none()
    }

    /// Takes what is to be closed so that its terminal hangs up, and keeps in mind what that one's
    /// foreground is.
    fn hang_up(&mut self) -> Option<OwnedFd> {
        let master = self.master.take();
        let by_terminal = master.as_ref().and_then(|it| tcgetpgrp(it).ok());
        // Nobody has lent a copy to this entry yet, but the terminal may not have hung up either.
        let foreground = match by_terminal {
            Some(group) => Some(group.as_raw_nonzero().get()),
            None => processes::find(self.entry.leader).map(|leader| leader.foreground),
        };
        self.entry.hung_up = Some(HungUp {
            foreground: foreground.filter(|group| *group > 0).unwrap_or(0),
            at: ticks::now(),
        });
        master
    }
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

    /// Adds one that was started, with a copy of its terminal's other end; false if its connection has
    /// closed meanwhile.
    pub(crate) fn add(
        &self,
        entry: Entry,
        holder: Connection,
        (place, master): (Option<Place>, Option<OwnedFd>),
    ) -> bool {
        let handle = entry.handle;
        let mut state = self.lock();
        if !state.connections.contains(&holder) {
            return false;
        }
        let program = Program {
            entry,
            master,
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
        let mut state = self.lock();
        Some(state.held(handle, holder)?.entry.session())
    }

    /// The same of one that is to be hung up. Its terminal is by then.
    pub(crate) fn hang_up(&self, handle: Handle, holder: Connection) -> Option<Session> {
        let mut state = self.lock();
        let program = state.held(handle, holder)?;
        let master = self.hang_up_terminal(program);
        let session = program.entry.session();
        drop(state);
        drop(master);
        Some(session)
    }

    /// Keeps a copy of the other end of a program's terminal; false if it needs none.
    pub(crate) fn lend(&self, handle: Handle, holder: Connection, master: OwnedFd) -> bool {
        let mut state = self.lock();
        let program = state.held(handle, holder);
        match program.filter(|it| it.needs_master()) {
            Some(program) => program.master = Some(master),
            None => return false,
        }
        true
    }

    /// Takes what is to be closed so that a program's terminal hangs up, and writes that down for the next
    /// entry. None if it has no terminal, or that has hung up.
    fn hang_up_terminal(&self, program: &mut Program) -> Option<OwnedFd> {
        if !program.can_hang_up() {
            return None;
        }
        let master = program.hang_up();
        if let Some(journal) = &self.journal {
            journal.update(program.entry.clone());
        }
        master
    }

    /// Its leader has ended. What it has left may still have to be hung up, but for a terminal's: the
    /// kernel has done that at the leader's end. If it ended by the hang-up, the rest has its grace.
    pub(crate) fn ended(&self, handle: Handle, (status, memory_limit): (Option<Status>, bool)) {
        let mut state = self.lock();
        let Some(program) = state.programs.get_mut(&handle) else {
            return;
        };
        program.has_ended = true;
        if let Some(holder) = program.holder {
            let ended = Message::Ended {
                handle,
                status,
                memory_limit,
            };
            self.outbox.tell(holder, ended);
        }
        let is_hung_up = program.entry.hung_up.is_some();
        let over = if program.holder.is_none() {
            // It is out of the journal once it is released, or its hang-up is over.
            state.programs.remove(&handle)
        } else if program.entry.pipes.is_none() && !is_hung_up {
            self.forget(handle);
            state.programs.remove(&handle)
        } else {
            // What its user may start at a time is no more than what runs.
            program.place = None;
            None
        };
        drop(state);
        // A terminal is closed while nobody waits.
        drop(over);
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
        let master = program.master.take();
        self.forget(handle);
        if program.has_ended {
            state.programs.remove(&handle);
        }
        drop(state);
        drop(master);
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
        let mut masters = Vec::new();
        let sessions = held.map(|(handle, program)| {
            program.holder = None;
            masters.extend(self.hang_up_terminal(program));
            (*handle, program.entry.session())
        });
        let sessions = sessions.collect();
        self.begin(&mut state, sessions, masters)
    }

    /// What is to be hung up because no agent holds it.
    pub(crate) fn unheld(self: &Arc<Self>) -> HangUp {
        let mut state = self.lock();
        let orphans = state.orphans.drain();
        let sessions = orphans
            .map(|(handle, entry)| (handle, entry.session()))
            .collect();
        self.begin(&mut state, sessions, Vec::new())
    }

    fn begin(
        self: &Arc<Self>,
        state: &mut State,
        sessions: Vec<(Handle, Session)>,
        masters: Vec<OwnedFd>,
    ) -> HangUp {
        state.hangups += 1;
        HangUp {
            programs: self.clone(),
            sessions,
            masters,
        }
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
