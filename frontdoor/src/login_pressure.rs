//! What happens as the slots for clients that log in fill up, before all are taken: new connections are
//! refused at random, as by sshd's MaxStartups; an address may have half of what is left; and the time
//! to log in gets shorter.

use std::time::Duration;

/// When slots count as scarce, and what then happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoginPressure {
    /// From this many taken slots on, slots count as scarce. If it is not below `most`, they never do.
    pub(crate) from: usize,
    /// The number of all slots.
    pub(crate) most: usize,
    /// Of a hundred new connections, how many are refused at `from`. At `most` all are.
    pub(crate) percent: f64,
}

impl LoginPressure {
    /// How scarce slots are: from 0 at `from`, to 1 when there is none left. `None` below `from`.
    fn pressure(&self, taken: usize) -> Option<f64> {
        let left = taken.checked_sub(self.from)?;
        let all = self.most.checked_sub(self.from).filter(|all| *all > 0)?;
        Some((left as f64 / all as f64).min(1.0))
    }

    /// Whether a connection is refused that drew `lot`, a number below 100.
    pub(crate) fn refuses(&self, taken: usize, lot: f64) -> bool {
        let pressure = self.pressure(taken);
        pressure.is_some_and(|pressure| lot < self.percent + (100.0 - self.percent) * pressure)
    }

    /// Whether an address that holds `held` slots already has its share.
    pub(crate) fn has_its_share(&self, taken: usize, held: usize) -> bool {
        let left = self.most.saturating_sub(taken);
        self.pressure(taken).is_some() && held > 0 && held >= left / 2
    }

    /// The time to log in: `whole` at first, and `least` when no slot is left.
    pub(crate) fn grace(&self, taken: usize, whole: Duration, least: Duration) -> Duration {
        let pressure = self.pressure(taken).unwrap_or(0.0);
        whole.saturating_sub(whole.saturating_sub(least).mul_f64(pressure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESSURE: LoginPressure = LoginPressure {
        from: 10,
        most: 30,
        percent: 30.0,
    };

    #[test]
    fn connections_are_refused_as_sshd_refuses_them() {
        let check = |taken, lot, expect| {
            assert_eq!(PRESSURE.refuses(taken, lot), expect, "{taken} {lot}");
        };
        check(9, 0.0, false);
        check(10, 29.0, true);
        check(10, 30.0, false);
        check(20, 64.0, true);
        check(20, 65.0, false);
        check(30, 99.9, true);
        let never = LoginPressure {
            from: 30,
            ..PRESSURE
        };
        assert!(!never.refuses(30, 0.0));
    }

    #[test]
    fn addresses_share_what_is_left() {
        let check = |taken, held, expect| {
            assert_eq!(
                PRESSURE.has_its_share(taken, held),
                expect,
                "{taken} {held}"
            );
        };
        check(9, 9, false);
        check(10, 9, false);
        check(10, 10, true);
        check(26, 2, true);
        check(26, 1, false);
        // An address without a slot may always have one.
        check(29, 0, false);
        check(29, 1, true);
    }

    #[test]
    fn the_time_to_log_in_gets_shorter() {
        let seconds = Duration::from_secs;
        let grace = |taken| PRESSURE.grace(taken, seconds(120), seconds(20));
        assert_eq!(grace(0), seconds(120));
        assert_eq!(grace(10), seconds(120));
        assert_eq!(grace(20), seconds(70));
        assert_eq!(grace(30), seconds(20));
        // A time that is shorter than the least stays as it is.
        assert_eq!(PRESSURE.grace(30, seconds(5), seconds(20)), seconds(5));
    }
}
