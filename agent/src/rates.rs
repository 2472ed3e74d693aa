//! How fast files and forwards may go, up and down: of one session, of one user, and of all on this node.
//! Where the node's rate is used up, users take turns, so that each has the same share however many
//! sessions they have.

pub(crate) mod clock;

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use podgate_process::bucket::Bucket;
use serde::Deserialize;

use crate::metrics::{Throttled, Waited};
use clock::{now, sleep};

/// Bytes of a turn at the node's rate.
const TURN: usize = 16 * 1024;
/// What may come at once after a quiet time: what the rate gives in this time, at least a turn.
const BURST: Duration = Duration::from_millis(100);

/// The rates of both directions.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct TransferRates {
    #[serde(default)]
    pub(crate) upload: Rates,
    #[serde(default)]
    pub(crate) download: Rates,
}

/// Bytes a second; none is no limit.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Rates {
    per_session: Option<NonZeroU64>,
    per_user: Option<NonZeroU64>,
    node: Option<NonZeroU64>,
}

/// All transfers of this node.
#[derive(Debug)]
pub(crate) struct Throttles {
    upload: Direction,
    download: Direction,
}

#[derive(Debug)]
struct Direction {
    rates: Rates,
    node: Option<Arc<Rate>>,
    waited: Waited,
    /// Those who have a session.
    users: Arc<Mutex<HashMap<String, Arc<User>>>>,
}

/// One user's sessions in one direction.
#[derive(Debug)]
struct User {
    rate: Option<Rate>,
    /// Bytes that the node's rate has given and that have not gone yet. Held by the one of their sessions
    /// that waits for more.
    given: tokio::sync::Mutex<usize>,
}

/// A rate that sessions of several cores may share.
#[derive(Debug)]
struct Rate(Mutex<Bucket>);

/// Bytes that were taken of the rates of a session and its user, and may not go yet.
#[derive(Debug)]
pub(crate) struct Wait {
    bytes: usize,
    begun: Instant,
    until: Instant,
}

/// Holds up one direction of one session.
#[derive(Debug)]
pub(crate) struct Throttle {
    session: Option<Rate>,
    user: Arc<User>,
    name: String,
    node: Option<Arc<Rate>>,
    waited: Waited,
    users: Arc<Mutex<HashMap<String, Arc<User>>>>,
}

impl Throttles {
    pub(crate) fn new(rates: &TransferRates, waited: &Throttled) -> Self {
        Self {
            upload: Direction::new(rates.upload, waited.upload.clone()),
            download: Direction::new(rates.download, waited.download.clone()),
        }
    }

    /// Those of a session, up and down; none where there is no limit.
    pub(crate) fn session(&self, user: &str) -> (Option<Throttle>, Option<Throttle>) {
        (self.upload.session(user), self.download.session(user))
    }
}

impl Direction {
    fn new(rates: Rates, waited: Waited) -> Self {
        Self {
            rates,
            node: rates.node.map(|rate| Arc::new(Rate::new(rate))),
            waited,
            users: Arc::default(),
        }
    }

    fn session(&self, name: &str) -> Option<Throttle> {
        let Rates {
            per_session,
            per_user,
            node,
        } = self.rates;
        per_session.or(per_user).or(node)?;
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let user = users.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(User {
                rate: per_user.map(Rate::new),
                given: tokio::sync::Mutex::default(),
            })
        });
        Some(Throttle {
            session: per_session.map(Rate::new),
            user: Arc::clone(user),
            name: name.to_owned(),
            node: self.node.clone(),
            waited: self.waited.clone(),
            users: Arc::clone(&self.users),
        })
    }
}

impl Throttle {
    /// Takes so many bytes, which have to be waited for.
    pub(crate) fn take(&self, bytes: usize) -> Wait {
        let begun = now();
        let own = [self.session.as_ref(), self.user.rate.as_ref()];
        let due = own.into_iter().flatten().map(|rate| rate.take(bytes)).max();
        let until = begun.checked_add(due.unwrap_or_default());
        Wait {
            bytes,
            begun,
            until: until.unwrap_or(begun),
        }
    }

    /// Waits until they may go, and counts for how long they waited. If this is dropped half way, it can be
    /// called again.
    pub(crate) async fn until_free(&self, wait: &Wait) {
        pause(wait.until.saturating_duration_since(now())).await;
        if let Some(node) = &self.node {
            let mut given = self.user.given.lock().await;
            while *given < wait.bytes {
                // Given first, so that a turn is not lost where this is dropped.
                *given += TURN;
                pause(node.take(TURN)).await;
            }
            *given -= wait.bytes;
        }
        let waited = now().saturating_duration_since(wait.begun);
        self.waited.inc_by(waited.as_secs_f64());
    }
}

/// A user without sessions is forgotten.
impl Drop for Throttle {
    fn drop(&mut self) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        // This one's and the map's.
        if Arc::strong_count(&self.user) <= 2 {
            users.remove(&self.name);
        }
    }
}

impl Rate {
    fn new(a_second: NonZeroU64) -> Self {
        let a_second = a_second.get() as f64;
        let most = (a_second * BURST.as_secs_f64()).max(TURN as f64);
        Self(Mutex::new(Bucket::full(most, a_second, now())))
    }

    /// Takes so many, and answers for how long to wait for them.
    fn take(&self, bytes: usize) -> Duration {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.owe(bytes as f64, now())
    }
}

/// tokio's clock counts milliseconds, so what is shorter would become one.
async fn pause(due: Duration) {
    if due >= Duration::from_millis(1) {
        sleep(due).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    fn rates(per_session: u64, per_user: u64, node: u64) -> TransferRates {
        let [per_session, per_user, node] = [per_session, per_user, node].map(NonZeroU64::new);
        TransferRates {
            upload: Rates::default(),
            download: Rates {
                per_session,
                per_user,
                node,
            },
        }
    }

    /// How much each of these users, who have so many sessions each, brings down in 10 s. Sessions ask for
    /// so many bytes at a time.
    async fn moved(rates: &TransferRates, users: &[(&str, usize, usize)]) -> Vec<f64> {
        let throttles = Throttles::new(rates, &Throttled::default());
        let mut all = Vec::new();
        for &(user, sessions, bytes) in users {
            let mut set = JoinSet::new();
            for _ in 0..sessions {
                let (up, down) = throttles.session(user);
                assert!(up.is_none());
                let down = down.unwrap();
                let end = now() + Duration::from_secs(10);
                set.spawn(async move {
                    let mut moved = 0;
                    while now() < end {
                        down.until_free(&down.take(bytes)).await;
                        moved += bytes;
                    }
                    moved
                });
            }
            all.push(set);
        }
        clock::run().await;
        let mut moved = Vec::new();
        for set in all {
            moved.push(set.join_all().await.into_iter().sum::<usize>() as f64);
        }
        assert!(throttles.download.users.lock().unwrap().is_empty());
        moved
    }

    fn is_near(got: f64, wanted: f64, within: f64) {
        assert!((got / wanted - 1.0).abs() <= within, "{got}, not {wanted}");
    }

    #[tokio::test]
    async fn each_rate_is_kept() {
        for (rates, users, expect) in [
            (rates(1_000_000, 0, 0), ("a", 1, 65_536), 10e6),
            (rates(1_000_000, 0, 0), ("a", 3, 32_768), 30e6),
            (rates(0, 2_000_000, 0), ("a", 3, 32_768), 20e6),
            (rates(0, 0, 50_000_000), ("a", 4, 65_536), 500e6),
            (rates(5_000_000, 3_000_000, 2_000_000), ("a", 2, 4096), 20e6),
        ] {
            is_near(moved(&rates, &[users]).await[0], expect, 0.05);
        }
    }

    #[tokio::test]
    async fn users_share_a_node_equally() {
        let all = moved(
            &rates(0, 0, 10_000_000),
            &[("a", 1, 65_536), ("b", 8, 65_536), ("c", 3, 20_000)],
        )
        .await;
        for one in &all {
            is_near(*one, 100e6 / 3.0, 0.2);
        }
        is_near(all.iter().sum(), 100e6, 0.05);
    }

    #[tokio::test]
    async fn what_one_user_does_not_take_others_have() {
        let rates = TransferRates {
            download: Rates {
                per_session: NonZeroU64::new(8_000_000),
                ..rates(0, 0, 10_000_000).download
            },
            ..TransferRates::default()
        };
        let all = moved(&rates, &[("a", 1, 65_536), ("b", 1, 1000)]).await;
        is_near(all.iter().sum(), 100e6, 0.05);
    }

    #[test]
    fn what_is_not_there_yet_is_waited_for() {
        let turn = TURN as u64;
        let rate = Rate::new(NonZeroU64::new(turn).unwrap());
        let seconds = |quarters: u64| Duration::from_millis(250 * quarters);
        // A burst is one turn, which takes a second.
        assert_eq!(rate.take(TURN), Duration::ZERO);
        assert_eq!(rate.take(TURN / 4), seconds(1));
        assert_eq!(rate.take(TURN / 4), seconds(2));
        assert_eq!(rate.take(0), seconds(2));
        assert!(rate.take(usize::MAX).as_secs() > 1 << 30);
    }

    #[test]
    fn without_rates_nothing_waits() {
        let (up, down) =
            Throttles::new(&TransferRates::default(), &Throttled::default()).session("a");
        assert!(up.is_none() && down.is_none());
    }
}
