//! A rate limit: a burst after a quiet time, then a steady refill. The caller passes the time.

use std::time::Instant;

/// A token bucket.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    most: f64,
    a_second: f64,
    left: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket of `most` tokens, refilled by `a_second` tokens a second.
    pub fn full(most: u32, a_second: f64, now: Instant) -> Self {
        let most = f64::from(most);
        Self {
            most,
            a_second,
            left: most,
            at: now,
        }
    }

    /// A bucket of `most` tokens a minute, which may be taken all at once.
    pub fn a_minute(most: u32, now: Instant) -> Self {
        Self::full(most, f64::from(most) / 60.0, now)
    }

    /// Takes a token. Returns false if none is left.
    pub fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let there = self.left >= 1.0;
        if there {
            self.left -= 1.0;
        }
        there
    }

    fn refill(&mut self, now: Instant) {
        let gone = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + gone * self.a_second).min(self.most);
        self.at = now;
    }

    /// Puts back a token that was taken.
    pub fn give_back(&mut self) {
        self.left = (self.left + 1.0).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_as_many_as_the_rate() {
        let begin = Instant::now();
        let mut bucket = Bucket::full(500, 50.0, begin);
        let mut taken = |seconds| {
            let now = begin + Duration::from_secs(seconds);
            (0..1000).filter(|_| bucket.take(now)).count()
        };
        assert_eq!(taken(0), 500);
        assert_eq!(taken(0), 0);
        assert_eq!(taken(2), 100);
        assert_eq!(taken(3600), 500);
    }

    #[test]
    fn a_minutes_are_spread_over_it() {
        let begin = Instant::now();
        let mut bucket = Bucket::a_minute(2, begin);
        let mut take = |seconds| bucket.take(begin + Duration::from_secs(seconds));
        assert!(take(0) && take(0) && !take(0));
        assert!(!take(29));
        assert!(take(31) && !take(31));
        bucket.give_back();
        let now = begin + Duration::from_secs(31);
        assert!(bucket.take(now) && !bucket.take(now));
    }
}
