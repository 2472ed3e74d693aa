//! Rights of sessions that run: asked for again from time to time, once for all sessions of an
//! identity in a pod. Who has lost them is told, and the sessions end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::reviews::{Question, Reviews};

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
    /// an API server that is away.
    pub(super) async fn recheck(&self, client: &kube::Client, reviews: &Reviews, every: Duration) {
        loop {
            sleep(every).await;
            let questions: Vec<_> = self.grounds().keys().cloned().collect();
            for question in questions {
                // Another core may have asked in the meantime.
                match reviews.still(client, &question, every / 2).await {
                    Ok(true) => {}
                    Ok(false) => self.lose(&question),
                    Err(error) => tracing::warn!(%error, "rights are not asked for again"),
                }
            }
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
