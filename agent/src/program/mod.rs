//! A session's program on its node, from its start until nothing of it is left. What was started is in
//! the journal until it is known to have ended.

mod entry;
mod hangup;
pub(crate) mod journal;
mod services;
mod signals;
mod start;
mod supervisor;
mod tracked;
mod turns;

pub(crate) use entry::JournalEntry;
pub(crate) use services::ProgramServices;
pub(crate) use start::{NotStarted, Programs};

#[cfg(test)]
mod tests;
