//! What a forward costs: by a worker of the node entry, by the kubelet's port-forward (its stand-in), and by
//! OpenSSH's sshd, in turn in one run and to one server, with OpenSSH's client. It needs root. Prints
//! a table, asserts nothing. `cargo bench -p podgate-tests --bench forwards [-- --quick]`
#![allow(clippy::indexing_slicing)]

mod measure;
mod server;
mod ways;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use podgate_tests::instruments::bench;
use tokio::time::timeout;

use measure::{Sizes, measure};

/// For all of it.
const WITHIN: Duration = Duration::from_secs(1200);

fn main() -> ExitCode {
    bench::run("forwards", run)
}

fn run() -> Result<()> {
    let quick = std::env::args().any(|word| word == "--quick");
    let sizes = match quick {
        true => Sizes {
            bytes: 64 << 20,
            rounds: 2,
            connections: 100,
        },
        false => Sizes {
            bytes: 1 << 30,
            rounds: 5,
            connections: 1000,
        },
    };
    bench::build_static()?;
    bench::block_on(async {
        let measured = timeout(WITHIN, measure(&sizes));
        measured.await.context("it does not end")?
    })
}
