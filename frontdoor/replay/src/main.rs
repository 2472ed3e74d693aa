//! `podgate-replay --config replay.yaml`

use std::process::ExitCode;

use clap::Parser;
use podgate_process::{daemon, version};
use podgate_replay::Replay;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Shows recordings of Podgate's sessions in a browser.
#[derive(Parser)]
#[command(version = version::long())]
struct Arguments {
    #[command(flatten)]
    options: daemon::Options,
}

fn main() -> ExitCode {
    daemon::run::<Replay>(&Arguments::parse().options)
}
