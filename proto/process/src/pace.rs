//! Notices whether a thread serves shells or moves transfers, by the processor's time that it takes, and tells the
//! kernel. It is looked at only as the thread goes to sleep or wakes up, so that an idle thread costs nothing.
//! A thread that serves a terminal serves shells, whatever it moves beside that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::slice::{self, Work};

/// Between two looks at a thread's time.
const LOOK: Duration = Duration::from_millis(50);
/// A thread that takes more than one part in so many of a processor moves a transfer.
const MUCH: u32 = 4;
/// Until it takes less than one part in so many.
const LITTLE: u32 = 16;
/// A thread that has taken so much of a processor may have freed much …
const RUN: Duration = Duration::from_millis(50);
/// … and gives it back when it takes little for so long.
pub(crate) const QUIET: Duration = Duration::from_secs(2);

thread_local! {
    /// How many terminals the thread serves.
    static TERMINALS: Arc<AtomicUsize> = Arc::default();
}

/// A terminal that a thread serves until this is dropped.
#[derive(Debug)]
pub struct Terminal(Arc<AtomicUsize>);

impl Terminal {
    /// Served by the calling thread.
    pub fn here() -> Self {
        let count = TERMINALS.with(Arc::clone);
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One thread's pace.
#[derive(Debug)]
pub(crate) struct Pace {
    work: Work,
    looked: Instant,
    /// The processor's time that it had taken by then.
    ran: Duration,
    /// The same when it last gave memory back.
    gave_back: Duration,
    /// The same when it was last asked whether it is quiet; none once it was.
    asked: Option<Duration>,
}

impl Pace {
    /// Of the calling thread.
    pub(crate) fn new() -> Self {
        let ran = ran();
        let this = Self {
            work: Work::Shells,
            looked: Instant::now(),
            ran,
            gave_back: ran,
            asked: None,
        };
        this.tell();
        this
    }

    /// Looks at the calling thread, if it is time. Returns whether it has something to give back, once
    /// until it [is quiet](Self::is_quiet).
    pub(crate) fn look(&mut self) -> bool {
        let now = Instant::now();
        let since = now.duration_since(self.looked);
        if since < LOOK {
            return false;
        }
        let ran = ran();
        let terminals = TERMINALS.with(|count| count.load(Ordering::Relaxed));
        let work = match terminals {
            0 => after(self.work, ran.saturating_sub(self.ran), since),
            _ => Work::Shells,
        };
        (self.looked, self.ran) = (now, ran);
        if work != self.work {
            self.work = work;
            self.tell();
        }
        let due = self.asked.is_none() && ran.saturating_sub(self.gave_back) > RUN;
        if due {
            self.asked = Some(ran);
        }
        due
    }

    /// Whether the calling thread has taken little of a processor since it was last asked, [`QUIET`] ago.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let ran = ran();
        let asked = self.asked.replace(ran);
        let quiet = asked.is_some_and(|asked| ran.saturating_sub(asked) < QUIET / LITTLE);
        if quiet {
            (self.asked, self.gave_back) = (None, ran);
        }
        quiet
    }

    /// A kernel that does not take it leaves the thread as it was.
    fn tell(&self) {
        if let Err(error) = slice::tell(self.work) {
            tracing::debug!(%error, work = ?self.work, "the scheduler is not told");
        }
    }
}

/// What a thread does that has run for so long since the last look.
fn after(before: Work, ran: Duration, since: Duration) -> Work {
    let part = match before {
        Work::Shells => MUCH,
        Work::Transfers => LITTLE,
    };
    if ran > since / part {
        Work::Transfers
    } else {
        Work::Shells
    }
}

/// The processor's time that the calling thread has taken.
pub(crate) fn ran() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_moves_transfers_from_a_quarter_of_a_processor_to_a_sixteenth() {
        let check = |before, ran, expect| {
            let (ran, since) = (Duration::from_millis(ran), Duration::from_millis(160));
            assert_eq!(after(before, ran, since), expect, "{before:?} {ran:?}");
        };
        check(Work::Shells, 40, Work::Shells);
        check(Work::Shells, 41, Work::Transfers);
        check(Work::Transfers, 11, Work::Transfers);
        check(Work::Transfers, 10, Work::Shells);
    }

    #[test]
    fn a_thread_that_computes_is_noticed() {
        let mut pace = Pace::new();
        let begun = Instant::now();
        let mut until = |wanted| {
            while pace.work != wanted && begun.elapsed() < Duration::from_secs(20) {
                pace.look();
            }
            assert_eq!(pace.work, wanted);
        };
        until(Work::Transfers);
        let terminal = Terminal::here();
        until(Work::Shells);
        drop(terminal);
        until(Work::Transfers);
    }

    #[test]
    fn a_thread_that_has_run_gives_back_once_it_is_quiet() {
        let mut pace = Pace::new();
        let begun = Instant::now();
        let within = || begun.elapsed() < Duration::from_secs(20);
        while !pace.look() && within() {}
        assert!(ran() > RUN);
        let busy = ran() + QUIET / LITTLE;
        while ran() < busy && within() {
            assert!(!pace.look());
        }
        assert!(!pace.is_quiet() && pace.is_quiet());
        while !pace.look() && within() {}
        assert!(within());
    }
}
