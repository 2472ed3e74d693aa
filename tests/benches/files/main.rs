//! What files cost by a worker in a container, and by OpenSSH's sshd with internal-sftp on the same folder, in
//! turn in one run. OpenSSH's sftp and scp are the clients of both. It needs root and sshd. Prints a table,
//! asserts nothing. `cargo bench -p podgate-tests --bench files [-- --quick]`
#![allow(clippy::indexing_slicing)]

mod delay;
mod rows;
mod sizes;
mod stage;

use std::process::ExitCode;

use anyhow::Result;
use podgate_tests::instruments::bench;

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
        rows::print(&stage, &sizes).await
    })
}
