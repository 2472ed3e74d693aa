//! What a recording costs: the same sessions through a frontdoor that records nothing, one that records
//! within maxBytes, and one that records all, in turn in one run. Prints a table, asserts nothing.
//! `cargo bench -p podgate-tests --bench recordings [-- --quick]`
#![allow(clippy::indexing_slicing)]

mod bulk;
mod echo;
mod idle;
mod sites;
mod stored;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use podgate_tests::instruments::bench;
use tokio::time::timeout;

use sites::Sites;

/// For all of it.
const WITHIN: Duration = Duration::from_secs(1800);

/// How much is measured.
pub(crate) struct Sizes {
    /// Keystrokes, each way.
    keystrokes: usize,
    /// Bytes of a download, and how many there are, each way.
    bytes: u64,
    downloads: usize,
    /// Idle shells, each way.
    shells: usize,
    /// How long a busy shell is recorded.
    busy: Duration,
}

const FULL: Sizes = Sizes {
    keystrokes: 4000,
    bytes: 512 << 20,
    downloads: 5,
    shells: 300,
    busy: Duration::from_secs(60),
};

const QUICK: Sizes = Sizes {
    keystrokes: 400,
    bytes: 64 << 20,
    downloads: 2,
    shells: 50,
    busy: Duration::from_secs(10),
};

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
    let stored = stored::row(&sites, sizes.busy).await;
    rows.push(stored.context("a busy shell")?);
    table::print(&rows);
    Ok(())
}
