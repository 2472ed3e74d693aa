//! What a session costs: the gateway, an exec straight at the kubelet's stand-in, and OpenSSH's sshd,
//! in turn in one run, so that noise affects all alike. Prints a table, asserts nothing. `cargo bench
//! -p podgate-tests --bench sessions [-- --quick] [GROUP…]`
#![allow(clippy::indexing_slicing)]

mod bench;
mod bulk;
mod commands;
mod entry;
mod idle;
mod keystroke;
mod load;
mod sizes;
mod storm;
mod strangers;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use bench::{Bench, Containers};
use sizes::{Group, Sizes};
use table::Row;

/// The time limit of one group of rows.
const WITHIN: Duration = Duration::from_secs(1200);

fn main() -> ExitCode {
    podgate_tests::instruments::bench::run("sessions", run)
}

fn run() -> Result<()> {
    let (sizes, groups) = sizes::asked()?;
    let mut rows = Vec::new();
    for group in groups {
        eprintln!("sessions: {} …", group.name());
        let measured = measure(group, &sizes);
        rows.extend(measured.unwrap_or_else(|error| vec![Row::broken(group.name(), &error)]));
    }
    print!("{}", table::render(&rows));
    Ok(())
}

/// Measures one group. Each group has a stand of its own, so that no group inherits another's state.
fn measure(group: Group, sizes: &Sizes) -> Result<Vec<Row>> {
    let bench = Bench::new(match group {
        Group::Container => Containers::Kubelet,
        Group::Entry => Containers::Entry,
        _ => Containers::Plain,
    })?;
    let measured = bench.run(async {
        let rows = async {
            match group {
                Group::Container | Group::Open => commands::open(&bench, sizes).await,
                Group::Entry => entry::rows(&bench, sizes).await,
                Group::New => commands::new(&bench, sizes).await,
                Group::Keystroke => keystroke::rows(&bench, sizes).await,
                Group::Stdout => bulk::rows(&bench, sizes, bulk::Direction::Stdout).await,
                Group::Stdin => bulk::rows(&bench, sizes, bulk::Direction::Stdin).await,
                Group::Idle => idle::rows(&bench, sizes).await,
                Group::After => idle::after_bulk(&bench, sizes).await,
                Group::Storm => storm::rows(&bench, sizes).await,
                Group::Strangers => strangers::rows(&bench, sizes).await,
            }
        };
        tokio::time::timeout(WITHIN, rows).await
    });
    measured.context("it does not end")?
}
