//! A session's program on its node, from its start until nothing of it is left. What was started is in
//! the journal until it is known to have ended.

mod hangup;
mod hangup_turns;
pub(crate) mod journal;
mod journal_entry;
mod services;
mod signals;
mod start;
mod supervisor;
mod tracked;

pub(crate) use hangup_turns::HangUps;
pub(crate) use journal_entry::JournalEntry;
pub(crate) use services::ProgramServices;
pub(crate) use start::{FailedStart, Handle, NotStarted, Program, Programs};
pub(crate) use supervisor::ProgramSupervisor;

#[cfg(test)]
mod tests;
