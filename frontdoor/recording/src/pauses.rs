//! Growing pauses between tries.

use std::time::Duration;

use tokio::time::sleep;

/// The first pause, and the longest.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Waits after so many failures in a row. Pauses vary, so that recordings do not all come at once.
pub(crate) async fn pause(failures: u32) {
    let pause = FIRST * 2_u32.saturating_pow(failures.saturating_sub(1).min(10));
    sleep(LONGEST.min(pause).mul_f64(0.5 + fastrand::f64() / 2.0)).await;
}
