//! Growing pauses between tries.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::health::Health;

/// The first pause, and the longest.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// How often something is tested that does not fail, and that fails for some objects alone.
const TESTED: Duration = Duration::from_secs(30);
const SOONEST: Duration = Duration::from_secs(1);

/// The pauses of one object, or of several that are tried in turn.
#[derive(Default)]
pub(crate) struct Pauses {
    /// Failures in a row.
    failures: u32,
    /// Whether the last pause was cut short.
    short: bool,
}

impl Pauses {
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Waits after a failure. Pauses vary, so that recordings do not all come at once. A pause ends when what has failed
    /// is well again, but not the next one too: it may take other objects and never this one.
    pub(crate) async fn pause(&mut self, health: &Health) {
        self.failures = self.failures.saturating_add(1);
        let pause = pause(self.failures);
        self.short = match std::mem::take(&mut self.short) {
            true => {
                sleep(pause).await;
                false
            }
            false => timeout(pause, health.recovers()).await.is_ok(),
        };
    }
}

/// Tests something every 30 s, and with growing pauses while that fails: so a failure is noticed while no session runs.
/// Does not return.
pub(crate) async fn keep_testing<T, E>(health: &Health, test: impl Fn() -> T)
where
    T: Future<Output = Result<(), E>>,
{
    loop {
        let _ = timeout(TESTED, health.fails()).await;
        let mut failures = 0;
        while test().await.is_err() {
            failures += 1;
            sleep(pause(failures)).await;
        }
        // Some object may be refused again and again.
        sleep(SOONEST).await;
    }
}

/// How long to wait after so many failures in a row.
pub(crate) fn pause(failures: u32) -> Duration {
    let pause = FIRST * 2_u32.saturating_pow(failures.saturating_sub(1).min(10));
    LONGEST.min(pause).mul_f64(0.5 + fastrand::f64() / 2.0)
}
