//! What starts and ends programs, for all cores.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::hangup_turns::{HangUpTurns, HangUps};
use super::journal::Journal;
use super::journal_entry::JournalEntry;
use crate::metrics::Metrics;

/// Between two tries to write what the journal lacks.
const PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct ProgramServices {
    journal: Option<Journal>,
    pub(super) turns: HangUpTurns,
    /// Between SIGHUP and SIGKILL.
    pub(super) grace: Duration,
    pub(super) metrics: Arc<Metrics>,
    /// Cancelled when sessions must end. What cannot be ended at once is left to the next agent.
    pub(super) stopped: CancellationToken,
}

impl ProgramServices {
    pub(crate) fn new(
        journal: Option<Journal>,
        (grace, hang_ups): (Duration, HangUps),
        metrics: Arc<Metrics>,
        stopped: CancellationToken,
    ) -> Self {
        Self {
            journal,
            turns: HangUpTurns::new(hang_ups, metrics.hangups_waiting.clone()),
            grace,
            metrics,
            stopped,
        }
    }

    /// What other agents of this node have left since this one began.
    pub(crate) async fn left(&self) -> Vec<JournalEntry> {
        match &self.journal {
            Some(journal) => journal.left().await,
            None => Vec::new(),
        }
    }

    /// Writes what the journal lacks, once that can be done again. Ends when sessions must end.
    pub(crate) async fn keep_journal(&self) {
        let Some(journal) = &self.journal else {
            return;
        };
        let pause = || self.stopped.run_until_cancelled(sleep(PAUSE));
        while pause().await.is_some() {
            journal.again();
        }
    }

    /// Writes down what the next agent is to know, if anything.
    pub(super) async fn write(&self, entry: Option<JournalEntry>) {
        if let (Some(journal), Some(entry)) = (&self.journal, &entry) {
            journal.write(entry).await;
        }
    }

    pub(super) fn remove(&self, session: &str) {
        if let Some(journal) = &self.journal {
            journal.remove(session);
        }
    }
}
