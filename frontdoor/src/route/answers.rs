//! What the API server is asked once for all who want it at the same time, and not again at once where
//! it had nothing: who asks for the same over and over costs it one request a moment. An answer that
//! will not be given again is held for as long as somebody waits for it.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use podgate_identity::kubernetes::Unanswered;

/// Questions whose answers are kept, at the most; the one longest unused goes first.
const QUESTIONS: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not 0");
/// For so long a failure is the answer to the same question.
const FAILED: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("the API server has none")]
    Absent,
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

impl Error {
    /// Whether the API server said nothing of it at all.
    fn is_away(&self) -> bool {
        match self {
            Self::Absent => false,
            Self::Unanswered(unanswered) => unanswered.is_away(),
        }
    }
}

/// Answers of one kind, of all cores.
#[derive(Debug)]
pub(super) struct Answers<K: Hash + Eq, V> {
    /// For so long an answer is given again. One that was awaited is given to all who waited.
    good: Duration,
    table: Mutex<LruCache<K, Slot<V>>>,
}

type Slot<V> = Arc<tokio::sync::Mutex<Known<V>>>;

#[derive(Debug)]
struct Known<V> {
    answer: Option<(Instant, V)>,
    failure: Option<(Instant, Error)>,
}

impl<V> Default for Known<V> {
    fn default() -> Self {
        Self {
            answer: None,
            failure: None,
        }
    }
}

impl<K: Hash + Eq, V: Clone> Answers<K, V> {
    pub(super) fn good_for(good: Duration) -> Self {
        Self {
            good,
            table: Mutex::new(LruCache::new(QUESTIONS)),
        }
    }

    /// The answer; while the API server is away, the last that there was within `outage`.
    pub(super) async fn get(
        &self,
        question: K,
        outage: Duration,
        ask: impl Future<Output = Result<V, Error>>,
    ) -> Result<V, Error> {
        let asked = Instant::now();
        let slot = Arc::clone(self.table().get_or_insert(question, Arc::default));
        let asker = Asker {
            answers: self,
            slot,
            again: !self.good.max(outage).is_zero(),
        };
        let mut known = asker.slot.lock().await;
        let serves = |at: &Instant, kept: Duration| *at >= asked || at.elapsed() < kept;
        if let Some((at, answer)) = &known.answer
            && serves(at, self.good)
        {
            return Ok(answer.clone());
        }
        let failure = known.failure.as_ref();
        let error = match failure.filter(|(at, _)| serves(at, FAILED)) {
            Some((_, error)) => error.clone(),
            None => match ask.await {
                Ok(answer) => {
                    known.answer = Some((Instant::now(), answer.clone()));
                    known.failure = None;
                    return Ok(answer);
                }
                Err(error) => {
                    known.failure = Some((Instant::now(), error.clone()));
                    error
                }
            },
        };
        match &known.answer {
            Some((at, earlier)) if error.is_away() && at.elapsed() < outage => {
                tracing::warn!(%error, "an earlier answer counts");
                Ok(earlier.clone())
            }
            _ => Err(error),
        }
    }

    fn table(&self) -> MutexGuard<'_, LruCache<K, Slot<V>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for an answer, or has given up.
struct Asker<'a, K: Hash + Eq, V: Clone> {
    answers: &'a Answers<K, V>,
    slot: Slot<V>,
    /// Whether the answer may be given to who asks later.
    again: bool,
}

impl<K: Hash + Eq, V: Clone> Drop for Asker<'_, K, V> {
    /// The last to leave takes along what is for nobody else: a list is megabytes.
    fn drop(&mut self) {
        if self.again {
            return;
        }
        // Nobody comes or leaves meanwhile.
        let _table = self.answers.table();
        let slot = std::mem::take(&mut self.slot);
        // The table's, and this.
        if Arc::strong_count(&slot) <= 2
            && let Ok(mut known) = slot.try_lock()
        {
            known.answer = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::FutureExt;

    use super::*;

    fn away() -> Error {
        Unanswered::Timeout(Duration::ZERO).into()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn all_who_wait_have_one_answer() {
        let answers = Answers::good_for(Duration::ZERO);
        let asked = AtomicU32::new(0);
        let ask = || {
            answers.get("a", Duration::ZERO, async {
                tokio::task::yield_now().await;
                Ok(asked.fetch_add(1, Ordering::Relaxed))
            })
        };
        let (one, two, three) = tokio::join!(ask(), ask(), ask());
        assert_eq!([one, two, three].map(Result::unwrap), [0; 3]);
        assert_eq!(ask().await.unwrap(), 1);
        let other = answers.get("b", Duration::ZERO, async { Ok(7) });
        assert_eq!(other.await.unwrap(), 7);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_answer_for_nobody_is_not_held() {
        let answers = Answers::good_for(Duration::ZERO);
        let answer = Arc::new(());
        let ask = || {
            let answer = Arc::clone(&answer);
            answers.get("a", Duration::ZERO, async {
                tokio::task::yield_now().await;
                Ok(answer)
            })
        };
        ask().await.unwrap();
        assert_eq!(Arc::strong_count(&answer), 1);
        // One who waits goes away first, and one never takes what there is for it.
        let (mut one, mut two, mut three) = (Box::pin(ask()), Box::pin(ask()), Box::pin(ask()));
        assert!(one.as_mut().now_or_never().is_none());
        assert!(two.as_mut().now_or_never().is_none());
        assert!(three.as_mut().now_or_never().is_none());
        drop(two);
        one.await.unwrap();
        // Ours, what the third would ask for, and what it is to be given.
        assert_eq!(Arc::strong_count(&answer), 3);
        drop(three);
        assert_eq!(Arc::strong_count(&answer), 1);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn nothing_is_the_answer_for_a_moment() {
        let answers = Answers::<_, u32>::good_for(Duration::ZERO);
        let asked = AtomicU32::new(0);
        for _ in 0..100 {
            let answer = answers.get("a", Duration::ZERO, async {
                asked.fetch_add(1, Ordering::Relaxed);
                Err(Error::Absent)
            });
            assert!(matches!(answer.await, Err(Error::Absent)));
        }
        assert!(asked.load(Ordering::Relaxed) < 50);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_earlier_answer_serves_while_the_api_server_is_away() {
        const HOUR: Duration = Duration::from_secs(3600);
        let answers = Answers::good_for(Duration::ZERO);
        let ask = |outage, answer| answers.get("a", outage, std::future::ready(answer));
        assert_eq!(ask(HOUR, Ok(1)).await.unwrap(), 1);
        assert_eq!(ask(HOUR, Err(away())).await.unwrap(), 1);
        assert!(ask(Duration::ZERO, Err(away())).await.is_err());

        let status = kube::core::Status::failure("no", "Forbidden").with_code(403);
        let refused = Unanswered::Ask(Arc::new(kube::Error::Api(Box::new(status))));
        for said in [Error::Absent, refused.into()] {
            let answers = Answers::good_for(Duration::ZERO);
            let ask = |answer| answers.get("a", HOUR, std::future::ready(answer));
            assert_eq!(ask(Ok(1)).await.unwrap(), 1);
            assert!(ask(Err(said)).await.is_err());
        }
    }
}
