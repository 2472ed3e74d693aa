//! A cluster that changes, and how its frontdoor keeps up.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use podgate_tests::fixtures::stand::Stand;
use podgate_tests::stand_ins::cluster::pod;
use tokio::time::{sleep, sleep_until};

use crate::pods;
use crate::table::{MEMORY, MIB, row};

/// Changes a second.
const RATE: usize = 500;
const LASTS: Duration = Duration::from_secs(30);
/// Changes at once.
const BATCH: usize = 10;
/// Between two looks at how far the cache is behind.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) async fn rows(stand: &Stand) -> Result<()> {
    eprintln!("cluster: churn …");
    let watched = Watched::churn(stand).await?;
    let seconds = LASTS.as_secs();
    row(
        &format!("{RATE} changes a second for {seconds} s: memory"),
        &format!("{:.0} MiB at the most", watched.memory / MIB),
        MEMORY,
    );
    let share = format!("{:.1} %", watched.share * 100.0);
    row("of a core meanwhile", &share, "");
    let (median, most) = (watched.behind(0.5), watched.behind(1.0));
    let behind = format!("{median:.1} ms as a rule, {most:.1} ms at the most");
    row("the cache is behind by", &behind, "");
    Ok(())
}

/// What was measured.
#[derive(Debug, Default)]
struct Watched {
    /// Bytes, at most.
    memory: f64,
    /// The share of a core.
    share: f64,
    behind: Vec<Duration>,
}

impl Watched {
    /// Changes pods for a while, and measures. Every other change makes a new pod of the same name.
    async fn churn(stand: &Stand) -> Result<Self> {
        let mut watched = Self::default();
        let (begun, used) = (Instant::now(), stand.frontdoor.cpu()?);
        let (changed, looked) = tokio::join!(change(stand), watched.look(stand, begun));
        changed?;
        looked?;
        let used = stand.frontdoor.cpu()? - used;
        watched.share = used.as_secs_f64() / begun.elapsed().as_secs_f64();
        Ok(watched)
    }

    /// In milliseconds; 0.5 is the median, 1 the longest.
    fn behind(&self, q: f64) -> f64 {
        let mut sorted = self.behind.clone();
        sorted.sort_unstable();
        let rank = (q * sorted.len() as f64).ceil() as usize;
        let time = sorted.get(rank.saturating_sub(1)).copied();
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    }

    /// Adds a pod. The frontdoor counts it as soon as it knows of it.
    async fn look(&mut self, stand: &Stand, begun: Instant) -> Result<()> {
        while begun.elapsed() < LASTS {
            let before = stand.cluster.len();
            let added = Instant::now();
            let one = pod("probe", "probe", "probe-uid", "node-0000", "10.0.0.1");
            stand.cluster.add(one.container("main", "probe"));
            while known(stand).await? <= before {
                sleep(Duration::from_millis(1)).await;
            }
            self.behind.push(added.elapsed());
            stand.cluster.remove("probe", "probe");
            self.memory = self.memory.max(stand.frontdoor.resident()? as f64);
            sleep(LOOK).await;
        }
        Ok(())
    }
}

async fn change(stand: &Stand) -> Result<()> {
    let begun = tokio::time::Instant::now();
    let batches = RATE / BATCH * LASTS.as_secs() as usize;
    for batch in 0..batches {
        sleep_until(begun + LASTS * batch as u32 / batches as u32).await;
        for change in 0..BATCH {
            let change = batch * BATCH + change;
            // Each pod changes twice in a row.
            let at = change / 2 * 7919 % pods::PODS;
            stand.cluster.add(pods::one(at, 1 + change % 2));
        }
    }
    Ok(())
}

/// Pods that the frontdoor knows.
async fn known(stand: &Stand) -> Result<usize> {
    let known = metric(stand, "podgate_frontdoor_pods").await?;
    Ok(known as usize)
}

/// How often a leg was measured, and its seconds in all.
pub(crate) async fn leg(stand: &Stand, leg: &str) -> Result<(f64, f64)> {
    let of = |what: &str| format!("podgate_frontdoor_leg_seconds_{what}{{leg=\"{leg}\"}}");
    let count = metric(stand, &of("count")).await.unwrap_or_default();
    let sum = metric(stand, &of("sum")).await.unwrap_or_default();
    Ok((count, sum))
}

async fn metric(stand: &Stand, name: &str) -> Result<f64> {
    let (_, metrics) = stand.frontdoor.admin("/metrics").await?;
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.context(name.to_owned())?.parse()?)
}
