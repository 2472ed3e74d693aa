//! A program with what the journal keeps of it.

use super::journal_entry::JournalEntry;
use super::services::ProgramServices;
use crate::grant::Granted;
use crate::runtime::{HangUp, Running};

/// A program that runs or may run, until it is known to be over.
pub(super) struct Tracked {
    pub(super) session: String,
    pub(super) granted: Granted,
    pub(super) running: Box<dyn Running>,
    pub(super) hang_up: Option<HangUp>,
}

impl Tracked {
    /// Finds out who leads the session, as far as that can be known.
    pub(super) async fn settle(&mut self, services: &ProgramServices) {
        if self.running.settle().await {
            services.write(self.entry()).await;
        }
    }

    /// What the journal keeps of it, if anything.
    pub(super) fn entry(&self) -> Option<JournalEntry> {
        Some(JournalEntry {
            session: self.session.clone(),
            granted: self.granted.clone(),
            trace: self.running.trace()?,
            hang_up: self.hang_up.clone(),
        })
    }
}
