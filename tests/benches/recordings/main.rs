//! What a recording costs: the same sessions through a frontdoor that records nothing, one that records
//! within maxBytes, and one that records all, in turn in one run. Prints each row of a table once it is
//! measured, asserts nothing. `cargo bench -p podgate-tests --bench recordings [-- [--quick] [GROUP…]]`, of
//! the groups echo, downloads, idle and busy
#![allow(clippy::indexing_slicing)]

mod bulk;
mod echo;
mod idle;
mod sites;
mod sizes;
mod stored;
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use podgate_tests::instruments::bench;
use tokio::time::timeout;

use sites::Sites;
use sizes::{FULL, QUICK, Sizes};
use table::Row;

/// For one group.
const WITHIN: Duration = Duration::from_secs(600);
const GROUPS: [&str; 4] = ["echo", "downloads", "idle", "busy"];

fn main() -> ExitCode {
    bench::run("recordings", run)
}

fn run() -> Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let quick = words.iter().any(|word| word == "--quick");
    let sizes = if quick { QUICK } else { FULL };
    let named = words.iter().filter(|word| !word.starts_with('-'));
    let named: Vec<_> = named.map(String::as_str).collect();
    for name in &named {
        ensure!(GROUPS.contains(name), "{name} is none of {GROUPS:?}");
    }
    let wanted = |name: &&str| named.is_empty() || named.contains(name);
    let groups: Vec<_> = GROUPS.into_iter().filter(wanted).collect();
    bench::block_on(measure(&sizes, &groups))
}

async fn measure(sizes: &Sizes, groups: &[&str]) -> Result<()> {
    let sites = Sites::start().await?;
    table::head();
    for name in groups {
        let begun = Instant::now();
        let rows = timeout(WITHIN, group(name, &sites, sizes));
        let rows = rows.await.context("it does not end").flatten();
        for row in rows.with_context(|| (*name).to_owned())? {
            table::print(&row);
        }
        eprintln!("recordings: {name}: {:.0} s", begun.elapsed().as_secs_f64());
    }
    Ok(())
}

async fn group(name: &str, sites: &Sites, sizes: &Sizes) -> Result<Vec<Row>> {
    match name {
        "echo" => echo::rows(sites, sizes).await,
        "downloads" => bulk::rows(sites, sizes.bytes, sizes.downloads).await,
        "idle" => Ok(vec![idle::row(sizes.shells).await?]),
        _ => Ok(vec![stored::row(sites, sizes.busy).await?]),
    }
}
