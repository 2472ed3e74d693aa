//! The frontdoor's memory for shells that wait for their users.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use podgate_tests::fixtures::gateway::Part;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::program::Input;
use tokio::task::JoinSet;

use crate::sites::{LIMITED, Site};
use crate::table::Row;

const KIB: f64 = 1024.0;
/// Shells that begin at the same time.
const AT_ONCE: usize = 25;
/// The time for memory to stay the same.
const WITHIN: Duration = Duration::from_secs(20);
/// For so long. A recording's first chunk is stored after 5 s.
const SAME: Duration = Duration::from_secs(7);

/// Resident bytes once they have stayed the same, or at the end of the time.
async fn settled(part: &Part) -> Result<f64> {
    let (mut last, mut since) = (0, Instant::now());
    let look = || {
        let now = part.resident().unwrap_or_default();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        std::future::ready((since.elapsed() >= SAME).then_some(()))
    };
    let _ = eventually("the same memory", WITHIN, look).await;
    Ok(part.resident()? as f64)
}

/// KiB a shell, each on a connection of its own.
async fn each(rules: Option<&str>, shells: usize) -> Result<f64> {
    // A stand of its own: what earlier rows have left is no shell's.
    let site = Site::start(rules).await?;
    let frontdoor = &site.stand.frontdoor;
    let mut idle = Vec::new();
    let mut before = 0.0;
    // The first ones make allocations that are made once.
    for most in [AT_ONCE, AT_ONCE + shells] {
        while idle.len() < most {
            let mut starting = JoinSet::new();
            for _ in 0..AT_ONCE.min(most - idle.len()) {
                let login = site.login.clone();
                starting.spawn(async move {
                    let connection = login.connect().await?;
                    let mut shell = connection.terminal(None).await?;
                    shell.input.write("echo $((6*7))up\n".into()).await?;
                    shell.until("42up").await?;
                    anyhow::Ok((connection, shell))
                });
            }
            while let Some(started) = starting.join_next().await {
                idle.push(started?.context("a shell")?);
            }
        }
        let now = settled(frontdoor).await?;
        if most > AT_ONCE {
            return Ok((now - before) / KIB / shells as f64);
        }
        before = now;
    }
    Ok(f64::NAN)
}

pub(crate) async fn row(shells: usize) -> Result<Row> {
    let (off, on) = (
        each(None, shells).await?,
        each(Some(LIMITED), shells).await?,
    );
    let more = on - off;
    let row = Row {
        what: format!("each of {shells} idle shells, frontdoor"),
        off: format!("{off:.0} KiB"),
        recorded: format!("{on:.0} KiB"),
        ratio: format!("{more:+.0} KiB"),
        target: "≤ + 16 KiB".to_owned(),
        ..Row::default()
    };
    Ok(row.judge(more <= 16.0))
}
