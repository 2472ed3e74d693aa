//! How many calls there may be: each costs the API server a review.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Calls a second that are taken for ever: a cluster of 5,000 nodes enrols in a minute and a half.
const STEADY: f64 = 50.0;
/// Calls that are taken at once after a quiet time.
const BURST: f64 = 500.0;

/// A bucket of calls that fills steadily.
#[derive(Debug)]
pub(super) struct Rate(Mutex<(f64, Instant)>);

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new((BURST, now)))
    }

    /// Whether one more is taken.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, then) = *state;
        let gone = now.saturating_duration_since(then).as_secs_f64();
        let left = (left + gone * STEADY).min(BURST);
        let taken = left >= 1.0;
        *state = (if taken { left - 1.0 } else { left }, now);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_taken_and_then_as_many_as_the_rate() {
        let begin = Instant::now();
        let rate = Rate::new(begin);
        let taken = |now| (0..1000).filter(|_| rate.take(now)).count();
        assert_eq!(taken(begin), 500);
        assert_eq!(taken(begin), 0);
        assert_eq!(taken(begin + Duration::from_secs(2)), 100);
        assert_eq!(taken(begin + Duration::from_secs(3600)), 500);
    }
}
