//! How often a client may exchange keys again: a number of times per minute, which may all come at
//! once. Beyond that it waits.

use std::time::Duration;

use podgate_process::network::Network;
use tokio::time::{Instant, sleep};

use super::client::Client;

/// The limit's key in the configuration.
const KEY: &str = "rekeysPerMinute";
/// The time that an exchange counts for. It is computed only after this has been asked for, so its true
/// time is not known.
const TAKES: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

pub(super) struct Rekeys {
    /// The time between two exchanges that come evenly.
    apart: Duration,
    /// When all exchanges of a minute are available again.
    full: Instant,
}

impl Rekeys {
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            apart: MINUTE / per_minute.max(1),
            full: Instant::now(),
        }
    }

    /// Waits until the client may exchange keys again. During the login it may not: no client does that.
    #[cfg_attr(
        stock_russh,
        allow(dead_code, reason = "the published russh does not ask")
    )]
    pub(super) async fn turn(&mut self, client: &Client) -> Result<(), russh::Error> {
        if !client.logged_in.is_cancelled() {
            client.refused(KEY);
            return Err(russh::Error::Kex);
        }
        let wait = self.take(Instant::now());
        if !wait.is_zero() {
            client.context.metrics.refused(KEY);
            sleep(wait).await;
        }
        let turns = &client.context.turns;
        // If the core ends, nobody gives turns any more.
        let _ = turns.ask(Network::of(client.peer.ip())).await;
        turns.took(TAKES);
        Ok(())
    }

    /// Takes one exchange, and returns how long it has to wait.
    fn take(&mut self, now: Instant) -> Duration {
        self.full = self.full.max(now) + self.apart;
        (self.full - now).saturating_sub(MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_s_worth_at_once_and_then_one_at_a_time() {
        let mut rekeys = Rekeys::new(60);
        let mut now = Instant::now();
        for number in 0..60 {
            assert_eq!(rekeys.take(now), Duration::ZERO, "{number}");
        }
        let second = Duration::from_secs(1);
        assert_eq!(rekeys.take(now), second);
        now += second;
        assert_eq!(rekeys.take(now), second);
        now += Duration::from_secs(600);
        for number in 0..60 {
            assert_eq!(rekeys.take(now), Duration::ZERO, "{number}");
        }
    }
}
