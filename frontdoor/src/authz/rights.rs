//! The rights of running sessions. They are rechecked from time to time, once for all sessions of an
//! identity in a pod. Sessions that lose their rights are told, and end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::select_all;
use futures_util::stream;
use podgate_process::cache::Outage as _;
use podgate_process::jitter;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::reviews::{Question, Reviews};

/// The pause before an API server that was away is asked again.
const AWAY: Duration = Duration::from_secs(4);
/// The pause before an API server that was too busy is asked the same again. It is no outage: rights
/// that are taken away must be noticed while somebody keeps the API server busy.
const BUSY: Duration = Duration::from_secs(1);
/// Questions that are asked at once. If as many in a row get no answer, the round stops, and the next
/// one begins with the rest.
const AT_ONCE: usize = 4;

/// The rights that the sessions of one core depend on.
#[derive(Debug, Default)]
pub(super) struct RightsWatch(Mutex<HashMap<Question, Watched>>);

#[derive(Debug)]
struct Watched {
    lost: CancellationToken,
    sessions: usize,
}

/// The rights of one session, all of which it needs. They are rechecked until this is dropped.
#[derive(Debug)]
pub(crate) struct Rights {
    watch: Arc<RightsWatch>,
    needed: Vec<(Question, CancellationToken)>,
}

impl Rights {
    /// Waits until one of the rights is lost.
    pub(crate) async fn lost(&self) {
        let lost = self.needed.iter();
        let lost = lost.map(|(_, lost)| Box::pin(lost.cancelled()));
        select_all(lost).await;
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        let mut watched = self.watch.lock();
        for (question, _) in self.needed.drain(..) {
            if let Entry::Occupied(mut entry) = watched.entry(question) {
                entry.get_mut().sessions -= 1;
                if entry.get().sessions == 0 {
                    entry.remove();
                }
            }
        }
    }
}

impl RightsWatch {
    /// Watches the rights of one more session, at least one.
    pub(super) fn add(self: &Arc<Self>, questions: &[Question]) -> Rights {
        let mut all = self.lock();
        let needed = questions.iter().map(|question| {
            let watched = all.entry(question.clone()).or_insert_with(|| Watched {
                lost: CancellationToken::new(),
                sessions: 0,
            });
            watched.sessions += 1;
            (question.clone(), watched.lost.clone())
        });
        let needed = needed.collect();
        drop(all);
        Rights {
            watch: Arc::clone(self),
            needed,
        }
    }

    /// Rechecks all rights at intervals, forever. A question without an answer changes nothing: running
    /// sessions outlive an API server that is away. Cores and frontdoors ask at different moments.
    pub(super) async fn recheck(&self, client: &kube::Client, reviews: &Reviews, every: Duration) {
        let mut wait = every;
        // Questions that were asked in the last round before it stopped.
        let mut skipped = 0;
        loop {
            sleep(jitter::between(wait / 2, wait)).await;
            let mut questions: Vec<_> = self.lock().keys().cloned().collect();
            let asked = questions.len();
            questions.rotate_left(skipped % asked.max(1));
            let answers = stream::iter(questions)
                .map(async |question| self.ask(client, reviews, every, &question).await);
            let mut answers = std::pin::pin!(answers.buffer_unordered(AT_ONCE));
            let (mut done, mut unanswered) = (0, 0);
            while unanswered < AT_ONCE
                && let Some(answered) = answers.next().await
            {
                done += 1;
                unanswered = if answered { 0 } else { unanswered + 1 };
            }
            (wait, skipped) = match done == asked {
                true => (every, 0),
                false => (every.min(AWAY), skipped + done),
            };
        }
    }

    /// Rechecks one question's rights. Returns false if the API server is away.
    async fn ask(
        &self,
        client: &kube::Client,
        reviews: &Reviews,
        every: Duration,
        question: &Question,
    ) -> bool {
        while self.lock().contains_key(question) {
            // Another core may have asked in the meantime.
            match reviews.still(client, question, every / 2).await {
                Ok(true) => return true,
                Ok(false) => {
                    self.lose(question);
                    return true;
                }
                Err(error) if error.is_busy() => {
                    tracing::info!(%error, "rights are asked for again in a moment");
                    sleep(jitter::between(BUSY / 2, BUSY)).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "rights are not asked for again");
                    return !error.is_away();
                }
            }
        }
        true
    }

    fn lose(&self, question: &Question) {
        // Sessions that start later get a new token.
        if let Some(watched) = self.lock().get_mut(question) {
            let (user, namespace, pod) = (&question.user, &question.namespace, &question.pod);
            tracing::info!(user, namespace, pod, "rights are lost");
            std::mem::take(&mut watched.lost).cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Question, Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
