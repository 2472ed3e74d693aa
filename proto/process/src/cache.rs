//! Keeps answers to questions that cost something to ask. A question is asked once at a time, however
//! many callers wait for it, and not again while the last answer serves. The number of questions is
//! bounded; the least recently used one is dropped first.

use std::convert::Infallible;
use std::fmt::Display;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

/// How long an answer serves after it was given. Callers that waited for it get it in any case.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ages {
    /// How long it serves without asking again.
    pub good: Duration,
    /// How long it serves while the source is away.
    pub outage: Duration,
}

/// An error that tells whether the source is away.
pub trait Outage: Clone + Display {
    /// Whether the source did not answer at all, so that its last answer may serve.
    fn is_away(&self) -> bool;
}

/// Answers of one source, for all cores.
#[derive(Debug)]
pub struct Cache<K: Hash + Eq, V, E = Infallible> {
    failed: Duration,
    away: Duration,
    table: Mutex<LruCache<K, Arc<Question<V, E>>>>,
    /// When the source was found away, if it has not answered since.
    away_since: Mutex<Option<Instant>>,
}

/// What is known of one question.
#[derive(Debug)]
struct Question<V, E> {
    /// Held by the caller who asks.
    turn: tokio::sync::Mutex<()>,
    /// Callers of [`Cache::get`] who have not left yet.
    callers: AtomicUsize,
    known: Mutex<Known<V, E>>,
}

#[derive(Debug)]
struct Known<V, E> {
    answer: Option<Answer<V>>,
    failure: Option<(Instant, E)>,
}

#[derive(Debug)]
struct Answer<V> {
    asked: Instant,
    given: Instant,
    value: V,
}

impl<K: Hash + Eq, V: Clone, E> Cache<K, V, E> {
    /// Keeps the answers to at most so many questions. Failures are not kept.
    pub fn new(questions: NonZeroUsize) -> Self {
        Self {
            failed: Duration::ZERO,
            away: Duration::ZERO,
            table: Mutex::new(LruCache::new(questions)),
            away_since: Mutex::default(),
        }
    }

    /// Keeps a failure as the answer to its question for this long.
    #[must_use]
    pub fn failed(self, failed: Duration) -> Self {
        Self { failed, ..self }
    }

    /// For this long after the source was found away, it is not asked if an earlier answer serves.
    /// Callers need not wait for it, and do not all ask at once when it comes back.
    #[must_use]
    pub fn away(self, away: Duration) -> Self {
        Self { away, ..self }
    }

    /// The last answer, if it was asked for no longer ago than `age`. Never waits.
    pub fn recent(&self, question: &K, age: Duration) -> Option<V> {
        let question = Arc::clone(lock(&self.table).get(question)?);
        let known = lock(&question.known);
        let answer = known.answer.as_ref()?;
        (answer.asked.elapsed() <= age).then(|| answer.value.clone())
    }

    /// An answer that was asked for after this call. Calls that wait for one another share one; a failure
    /// is only for the call that asked.
    pub async fn anew<F>(
        &self,
        question: K,
        ask: impl Future<Output = Result<V, F>>,
    ) -> Result<V, F> {
        let called = Instant::now();
        let question = self.question(question);
        let _turn = question.turn.lock().await;
        if let Some(answer) = &lock(&question.known).answer
            && answer.asked >= called
        {
            return Ok(answer.value.clone());
        }
        let asked = Instant::now();
        let value = ask.await?;
        lock(&question.known).answer = Some(Answer::new(asked, value.clone()));
        Ok(value)
    }

    fn question(&self, question: K) -> Arc<Question<V, E>> {
        Arc::clone(lock(&self.table).get_or_insert(question, Arc::default))
    }
}

impl<K: Hash + Eq, V: Clone, E: Outage> Cache<K, V, E> {
    /// The answer or the failure, from what is known or by asking. `ages` says how long a value serves.
    pub async fn get(
        &self,
        question: K,
        ages: impl Fn(&V) -> Ages,
        ask: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        let called = Instant::now();
        let question = self.question(question);
        let _caller = Caller::new(&question, &ages);
        if let Some(answer) = self.known(&question, called, &ages) {
            return answer;
        }
        let _turn = question.turn.lock().await;
        // The caller before may have asked.
        if let Some(answer) = self.known(&question, called, &ages) {
            return answer;
        }
        let asked = Instant::now();
        let answer = ask.await;
        let away = answer.as_ref().is_err_and(E::is_away);
        *lock(&self.away_since) = away.then(Instant::now);
        let mut known = lock(&question.known);
        match answer {
            Ok(value) => {
                known.answer = Some(Answer::new(asked, value.clone()));
                known.failure = None;
                Ok(value)
            }
            Err(error) => {
                known.failure = Some((Instant::now(), error.clone()));
                known.instead(error, &ages)
            }
        }
    }

    /// What answers a call without asking.
    fn known(
        &self,
        question: &Question<V, E>,
        called: Instant,
        ages: &impl Fn(&V) -> Ages,
    ) -> Option<Result<V, E>> {
        let known = lock(&question.known);
        if let Some(answer) = &known.answer {
            let (age, ages) = (answer.given.elapsed(), ages(&answer.value));
            let good = answer.given >= called || age < ages.good;
            if good || age < ages.outage && self.is_away() {
                return Some(Ok(answer.value.clone()));
            }
        }
        let (at, error) = known.failure.as_ref()?;
        let serves = *at >= called || at.elapsed() < self.failed;
        serves.then(|| known.instead(error.clone(), ages))
    }

    fn is_away(&self) -> bool {
        lock(&self.away_since).is_some_and(|at| at.elapsed() < self.away)
    }
}

impl<V: Clone, E: Outage> Known<V, E> {
    /// An earlier answer instead of this error, if it serves while the source is away.
    fn instead(&self, error: E, ages: &impl Fn(&V) -> Ages) -> Result<V, E> {
        match &self.answer {
            Some(answer)
                if error.is_away() && answer.given.elapsed() < ages(&answer.value).outage =>
            {
                tracing::warn!(%error, "an earlier answer counts");
                Ok(answer.value.clone())
            }
            _ => Err(error),
        }
    }
}

impl<V> Answer<V> {
    fn new(asked: Instant, value: V) -> Self {
        let given = Instant::now();
        Self {
            asked,
            given,
            value,
        }
    }
}

impl<V, E> Default for Question<V, E> {
    fn default() -> Self {
        let known = Known {
            answer: None,
            failure: None,
        };
        Self {
            turn: tokio::sync::Mutex::default(),
            callers: AtomicUsize::new(0),
            known: Mutex::new(known),
        }
    }
}

/// A caller that waits for an answer, or has given up.
struct Caller<'a, V, E, A: Fn(&V) -> Ages> {
    question: &'a Question<V, E>,
    ages: &'a A,
}

impl<'a, V, E, A: Fn(&V) -> Ages> Caller<'a, V, E, A> {
    fn new(question: &'a Question<V, E>, ages: &'a A) -> Self {
        question.callers.fetch_add(1, Ordering::Relaxed);
        Self { question, ages }
    }
}

impl<V, E, A: Fn(&V) -> Ages> Drop for Caller<'_, V, E, A> {
    /// An answer that serves no later call is dropped with the last caller: a list may be megabytes.
    fn drop(&mut self) {
        let mut known = lock(&self.question.known);
        if self.question.callers.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        let kept = |answer: &mut Answer<V>| {
            let ages = (self.ages)(&answer.value);
            !ages.good.max(ages.outage).is_zero()
        };
        known.answer.take_if(|answer| !kept(answer));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
