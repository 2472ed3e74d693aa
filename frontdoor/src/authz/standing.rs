//! Rights of sessions that run: asked for again from time to time, once for all sessions of an
//! identity in a pod. Who has lost them is told, and the sessions end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::reviews::{Question, Reviews};

/// Before an API server that is away is asked again.
const AWAY: Duration = Duration::from_secs(4);
/// Questions that are asked at once. If as many are not answered one after the other, the rest is not
/// asked, but begun with the next time.
const AT_ONCE: usize = 4;

/// The rights that sessions of one core stand on.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<HashMap<Question, Ground>>);

#[derive(Debug)]
struct Ground {
    lost: CancellationToken,
    sessions: usize,
}

/// A session's ground; it is asked for no longer once this is dropped.
#[derive(Debug)]
pub(crate) struct Rights {
    standing: Arc<Standing>,
    question: Question,
    lost: CancellationToken,
}

impl Rights {
    /// Waits until they are lost.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        let mut grounds = self.standing.grounds();
        if let Entry::Occupied(mut entry) = grounds.entry(self.question.clone()) {
            entry.get_mut().sessions -= 1;
            if entry.get().sessions == 0 {
                entry.remove();
            }
        }
    }
}

impl Standing {
    /// A ground for one more session.
    pub(super) fn stand(self: &Arc<Self>, question: Question) -> Rights {
        let mut grounds = self.grounds();
        let ground = grounds.entry(question.clone()).or_insert_with(|| Ground {
            lost: CancellationToken::new(),
            sessions: 0,
        });
        ground.sessions += 1;
        let lost = ground.lost.clone();
        drop(grounds);
        Rights {
            standing: Arc::clone(self),
            question,
            lost,
        }
    }

    /// Asks again every so often, for ever. What is not answered is let be: running sessions outlive
    /// an API server that is away. All cores and frontdoors ask at moments of their own.
    pub(super) async fn recheck(&self, client: &kube::Client, reviews: &Reviews, every: Duration) {
        let mut wait = every;
        // Where a round was broken off the next begins.
        let mut skipped = 0;
        loop {
            sleep(spread(wait)).await;
            let mut questions: Vec<_> = self.grounds().keys().cloned().collect();
            let asked = questions.len();
            questions.rotate_left(skipped % asked.max(1));
            let answers = stream::iter(questions).map(async |question| {
                if !self.grounds().contains_key(&question) {
                    return true;
                }
                // Another core may have asked in the meantime.
                match reviews.still(client, &question, every / 2).await {
                    Ok(true) => true,
                    Ok(false) => {
                        self.lose(&question);
                        true
                    }
                    Err(error) => {
                        tracing::warn!(%error, "rights are not asked for again");
                        !error.is_away()
                    }
                }
            });
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

    fn lose(&self, question: &Question) {
        // Sessions that are granted anew stand on another ground.
        if let Some(ground) = self.grounds().get_mut(question) {
            let (user, namespace, pod) = (&question.user, &question.namespace, &question.pod);
            tracing::info!(user, namespace, pod, "rights are lost");
            std::mem::take(&mut ground.lost).cancel();
        }
    }

    fn grounds(&self) -> MutexGuard<'_, HashMap<Question, Ground>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something between half of this and all of it.
fn spread(most: Duration) -> Duration {
    let mut random = [0; 1];
    // Without random numbers all of it.
    let part = getrandom::fill(&mut random).map_or(0, |()| u32::from(u8::from_be_bytes(random)));
    most - most / 2 * part / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_spread_over_half_of_their_time() {
        let most = Duration::from_secs(60);
        let times: Vec<_> = (0..1000).map(|_| spread(most)).collect();
        let within = |time: &Duration| *time > most / 2 && *time <= most;
        assert!(times.iter().all(within), "{times:?}");
        let early = times.iter().filter(|time| **time < most * 3 / 4).count();
        assert!((100..900).contains(&early), "{early}");
    }
}
