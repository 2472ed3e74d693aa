//! What a recording costs: the same sessions through a frontdoor that records nothing, one that records
//! within maxBytes, and one that records all, in turn in one run. Prints a table, asserts nothing.
//! `cargo bench -p podgate-tests --bench recordings [-- --quick]`
#![allow(clippy::indexing_slicing)]

mod bulk;
mod echo;
mod idle;
mod sites;
mod sizes;
mod stored;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use podgate_tests::instruments::bench;
use tokio::time::timeout;

use sites::Sites;
use sizes::{FULL, QUICK, Sizes};

/// For all of it.
const WITHIN: Duration = Duration::from_secs(1800);

fn main() -> ExitCode {
    bench::run("recordings", run)
}

fn run() -> Result<()> {
    let quick = std::env::args().any(|word| word == "--quick");
    let sizes = if quick { QUICK } else { FULL };
    bench::block_on(async {
        let measured = timeout(WITHIN, measure(&sizes));
        measured.await.context("it does not end")?
    })
}

async fn measure(sizes: &Sizes) -> Result<()> {
    let sites = Sites::start().await?;
    eprintln!("recordings: echo …");
    let mut rows = echo::rows(&sites, sizes.keystrokes).await.context("echo")?;
    eprintln!("recordings: downloads …");
    let down = bulk::rows(&sites, sizes.bytes, sizes.downloads).await;
    rows.extend(down.context("downloads")?);
    eprintln!("recordings: idle shells …");
    rows.push(idle::row(sizes.shells).await.context("idle shells")?);
    eprintln!("recordings: a busy shell …");
    rows.push(
        stored::row(&sites, sizes.busy)
            .await
            .context("a busy shell")?,
    );
    table::print(&rows);
    Ok(())
}
