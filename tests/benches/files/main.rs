//! What files cost by a worker in a container, and by OpenSSH's sshd with internal-sftp on the same folder, in
//! turn in one run, and by `tar` through an exec at the kubelet's stand-in. OpenSSH's sftp and scp are the clients
//! of both. It needs root and sshd. Prints tables, asserts nothing.
//! `cargo bench -p podgate-tests --bench files [-- --quick] [GROUP…]`
#![allow(clippy::indexing_slicing)]

mod beside;
mod delay;
mod memory;
mod rates;
mod rows;
mod sizes;
mod stage;
mod tar;
mod transfers;

use std::process::ExitCode;

use anyhow::Result;
use podgate_tests::instruments::bench;

use rows::Rows;
use sizes::Sizes;
use stage::Stage;

fn main() -> ExitCode {
    bench::run("files", run)
}

fn run() -> Result<()> {
    let sizes = Sizes::asked()?;
    bench::build_static()?;
    bench::block_on(async {
        let stage = Stage::new(&sizes).await?;
        let rows = Rows {
            stage: &stage,
            sizes: &sizes,
        };
        rows.print().await?;
        if sizes.has("memory") {
            memory::print(&stage).await?;
        }
        if sizes.has("beside") {
            beside::print(&stage, &sizes).await?;
        }
        drop(stage);
        match sizes.has("rates") {
            true => rates::print(&sizes).await,
            false => Ok(()),
        }
    })
}
