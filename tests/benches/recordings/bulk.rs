//! Downloads of text as fast as they go, and the frontdoor's time on a core for them.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use podgate_tests::instruments::bench::median;
use podgate_tests::instruments::program::Output;

use crate::sites::{Site, Sites};
use crate::table::Row;

const MIB: f64 = (1u64 << 20) as f64;
const GIB: f64 = (1u64 << 30) as f64;

/// MiB a second.
async fn download(site: &Site, bytes: u64) -> Result<f64> {
    let connection = site.login.connect().await?;
    let line = "a line of text, as programs print it: 2026-11-26T20:58:00Z ok";
    let begun = Instant::now();
    let command = format!("yes '{line}' | head -c {bytes}");
    let mut session = connection.exec(&command).await?;
    let mut seen = 0;
    while let Some(some) = session.output.next().await? {
        seen += some.len() as u64;
    }
    ensure!(seen == bytes, "{seen} bytes came of {bytes}");
    let rate = bytes as f64 / MIB / begun.elapsed().as_secs_f64();
    connection.close().await;
    Ok(rate)
}

pub(crate) async fn rows(sites: &Sites, bytes: u64, downloads: usize) -> Result<Vec<Row>> {
    let mut rates = [const { Vec::new() }; 3];
    let mut used = [const { Vec::new() }; 3];
    for round in 0..downloads {
        for at in 0..3 {
            let at = (round + at) % 3;
            let site = &sites.0[at];
            let before = site.stand.frontdoor.cpu()?;
            let rate = download(site, bytes).await;
            rates[at].push(rate.with_context(|| format!("site {at}"))?);
            let took = site.stand.frontdoor.cpu()? - before;
            used[at].push(took.as_secs_f64() * GIB / bytes as f64);
        }
    }
    let rates = rates.each_ref().map(|rates| median(rates));
    let used = used.each_ref().map(|used| median(used));
    let cell = |at: usize| format!("{:.0} MiB/s, {:.2} s a GiB", rates[at], used[at]);
    let rows = [(1, "within maxBytes", 0.95), (2, "recorded whole", 0.6)];
    let rows = rows.map(|(at, name, target)| {
        let ratio = rates[at] / rates[0];
        let row = Row {
            what: format!("{:.0} MiB of stdout, {name}", bytes as f64 / MIB),
            off: cell(0),
            recorded: cell(at),
            ratio: format!("{ratio:.2} ×"),
            target: format!("≥ {target} ×"),
            ..Row::default()
        };
        row.judge(ratio >= target)
    });
    Ok(rows.into())
}
