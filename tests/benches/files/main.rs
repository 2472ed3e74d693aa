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

use sizes::Sizes;
use stage::Stage;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("files: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let sizes = Sizes::asked()?;
    podgate_tests::instruments::usage::build_binaries()?;
    podgate_tests::instruments::usage::build_static()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stage = Stage::new(&sizes).await?;
        rows::print(&stage, &sizes).await
    })
}
