//! `podgate-agent --config agent.yaml`

use std::process::ExitCode;

use clap::Parser;
use podgate_agent::Agent;
use podgate_process::{daemon, version};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs sessions in this node's containers for Podgate's frontdoors.
#[derive(Parser)]
#[command(version = version::long())]
struct Arguments {
    #[command(flatten)]
    options: daemon::Options,
}

fn main() -> ExitCode {
    daemon::run::<Agent>(&Arguments::parse().options)
}
