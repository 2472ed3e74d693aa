//! Memory: of many shells that wait for their users, and what remains of it after bulk transfers.

use std::time::Duration;

use anyhow::{Context, Result};
use podgate_tests::fixtures::gateway::Part;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::program::Input;
use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::load::{self, By};
use crate::sizes::Sizes;
use crate::table::Row;

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;
/// Shells that begin at the same time.
const AT_ONCE: usize = 50;
/// The time for an allocator to give pages back.
const WITHIN: Duration = Duration::from_secs(60);
/// How many MiB more than before may remain after bulk transfers.
const LEFT: f64 = 8.0;

/// Runs sessions on each core, so that one-time allocations are made.
async fn warm_up(bench: &Bench) -> Result<()> {
    for _ in 0..8 {
        let connection = bench.login.connect().await?;
        connection.exec("true").await?.wait().await?;
        connection.close().await;
    }
    Ok(())
}

/// A part's resident bytes once they have stayed the same for a second, or at the end of the time.
async fn settled(part: &Part) -> Result<f64> {
    let (mut last, mut same) = (0, 0);
    let look = || {
        let now = part.resident().unwrap_or_default();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        std::future::ready((same == 200).then_some(()))
    };
    let _ = eventually("the same memory", WITHIN, look).await;
    Ok(part.resident()? as f64)
}

/// Each on an SSH connection of its own.
pub(crate) async fn rows(bench: &Bench, sizes: &Sizes) -> Result<Vec<Row>> {
    warm_up(bench).await?;
    let parts = [&bench.stand.frontdoor, &bench.stand.agent];
    let before = [settled(parts[0]).await?, settled(parts[1]).await?];
    let mut idle = Vec::new();
    while idle.len() < sizes.shells {
        let mut starting = JoinSet::new();
        for _ in 0..AT_ONCE.min(sizes.shells - idle.len()) {
            let login = bench.login.clone();
            starting.spawn(async move {
                let connection = login.connect().await?;
                let mut shell = connection.terminal(None).await?;
                // The shell is up once it has computed something.
                shell.input.write("echo $((6*7))up\n".into()).await?;
                shell.until("42up").await?;
                anyhow::Ok((connection, shell))
            });
        }
        while let Some(started) = starting.join_next().await {
            idle.push(started?.context("a shell")?);
        }
    }
    let mut rows = Vec::new();
    let targets = [("frontdoor", 60.0), ("agent", 48.0)];
    for ((part, before), (name, target)) in parts.iter().zip(before).zip(targets) {
        let each = (settled(part).await? - before) / KIB / idle.len() as f64;
        let row = Row {
            what: format!("{} idle shells, {name}", idle.len()),
            gateway: format!("{each:.0} KiB each"),
            target: format!("≤ {target} KiB"),
            ..Row::default()
        };
        rows.push(row.judge(each <= target));
    }
    Ok(rows)
}

/// The memory that remains after 8 bulk sessions have moved what they can and ended.
pub(crate) async fn after_bulk(bench: &Bench, sizes: &Sizes) -> Result<Vec<Row>> {
    warm_up(bench).await?;
    let parts = [&bench.stand.frontdoor, &bench.stand.agent];
    let before = [settled(parts[0]).await?, settled(parts[1]).await?];
    let mut peak = [0.0_f64; 2];
    let loads = [
        load::start(By::Ssh(bench.login.clone())).await?,
        load::start(By::Ssh(bench.login.clone())).await?,
    ];
    // The size of a transfer decides how often memory is read; the reads are a few milliseconds apart.
    let mut looks = sizes.bulk >> 20;
    let look = || {
        for (peak, part) in peak.iter_mut().zip(parts) {
            *peak = peak.max(part.resident().unwrap_or_default() as f64);
        }
        looks = looks.saturating_sub(1);
        std::future::ready((looks == 0).then_some(()))
    };
    eventually("enough looks", WITHIN, look).await?;
    for load in loads {
        load.end().await?;
    }
    let mut rows = Vec::new();
    for (at, name) in ["frontdoor", "agent"].into_iter().enumerate() {
        let part = parts[at];
        let fallen = || {
            let now = part.resident().unwrap_or_default() as f64;
            std::future::ready((now <= before[at] + LEFT * MIB).then_some(()))
        };
        let fell = eventually("memory to fall", WITHIN, fallen).await;
        let now = part.resident()? as f64;
        let row = Row {
            what: format!("memory before, during, after bulk, {name}"),
            gateway: format!(
                "{:.0}, {:.0}, {:.0} MiB",
                before[at] / MIB,
                peak[at] / MIB,
                now / MIB
            ),
            target: format!("falls to before + {LEFT} MiB"),
            ..Row::default()
        };
        rows.push(row.judge(fell.is_ok()));
    }
    Ok(rows)
}
