//! Containers that reach their limits of processes and of memory, and a full disk of the agent's journal.
//! What a program does that cannot go on is its own matter; nothing may hang or stay because of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use podgate_tests::fixtures::gateway::Part;
use podgate_tests::real::containerd::RunningPod;
use tokio::time::Instant;

use crate::disk::Disk;

/// Bytes. A shell fits, and what starts another program in the container may not.
const MEMORY: u64 = 16 << 20;
/// How long a mended limit may still show in a session.
const AFTER: Duration = Duration::from_secs(2);
/// For the agent to write all sessions to the journal that are not in it.
const WRITTEN: Duration = Duration::from_secs(20);

/// How often limits were set or taken away; odd while one shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Count(Arc<AtomicU64>);

impl Count {
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether a limit has shown since the count was this.
    pub(super) fn shown_since(&self, before: u64) -> bool {
        before % 2 == 1 || self.now() != before
    }

    fn set(&self, shows: bool) {
        if (self.now() % 2 == 1) != shows {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(super) struct Limits {
    pods: Arc<Vec<RunningPod>>,
    journal: Disk,
    count: Count,
    limited: Vec<(Instant, usize)>,
    full: Option<Instant>,
    /// When the last of them has no effect any more.
    over: Option<Instant>,
}

impl Limits {
    pub(super) fn new(pods: Arc<Vec<RunningPod>>, journal: Disk, count: Count) -> Self {
        Self {
            pods,
            journal,
            count,
            limited: Vec::new(),
            full: None,
            over: None,
        }
    }

    /// Sets one, and says which.
    pub(super) async fn disturb(
        &mut self,
        until: Instant,
        random: &mut fastrand::Rng,
    ) -> &'static str {
        self.count.set(true);
        self.over = self.over.max(Some(until + AFTER));
        let at = random.usize(0..self.pods.len());
        match random.u8(0..3) {
            0 => {
                let most = random.u32(1..6);
                let limit = self.pods[at].limit_processes("app", Some(most));
                limit.await.unwrap();
                self.limited.push((until, at));
                "processes limited"
            }
            1 => {
                // What is there already may not fit, which the kernel refuses.
                let limit = self.pods[at].limit_memory("app", Some(MEMORY)).await;
                self.limited.push((until, at));
                match limit {
                    Ok(()) => "memory limited",
                    Err(_) => "memory not limited",
                }
            }
            _ => {
                self.journal.fill();
                self.full = Some(until);
                "journal's disk full"
            }
        }
    }

    /// Gives the journal's disk room, and waits until all sessions are in the journal.
    pub(super) async fn journal_whole(&mut self, agent: &Part) {
        if self.full.take().is_some() {
            self.journal.free();
        }
        let whole = ["podgate_agent_journal_missing_sessions 0"];
        agent.counts(WRITTEN, &whole).await.unwrap();
    }

    /// Ends what has lasted until `now`.
    pub(super) async fn mend(&mut self, now: Instant) {
        if self.full.take_if(|until| *until <= now).is_some() {
            self.journal.free();
        }
        let (over, lasts) = self.limited.iter().partition(|(until, _)| *until <= now);
        self.limited = lasts;
        let over: Vec<(Instant, usize)> = over;
        if !over.is_empty() {
            self.over = self.over.max(Some(now + AFTER));
        }
        for (_, at) in over {
            self.pods[at].limit_processes("app", None).await.unwrap();
            self.pods[at].limit_memory("app", None).await.unwrap();
        }
        if self.over.take_if(|until| *until <= now).is_some() {
            self.count.set(false);
        }
    }
}
