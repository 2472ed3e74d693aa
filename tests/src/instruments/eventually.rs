//! The one place of the stand that polls: for things that send no event when they come to be.

use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep};

/// Between two looks; short, as each of them costs a fraction of a millisecond.
const INTERVAL: Duration = Duration::from_millis(5);

/// Calls `look` until it answers something, for at most `within`.
///
/// # Errors
/// The time is over; the text names `what` was waited for.
pub async fn eventually<T, Fut>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Fut,
) -> anyhow::Result<T>
where
    Fut: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("waited {within:?} in vain for {what}");
        }
        sleep(INTERVAL).await;
    }
}
