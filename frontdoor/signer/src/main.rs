//! `podgate-signer --config signer.yaml`

use std::process::ExitCode;

use clap::Parser;
use podgate_process::{daemon, version};
use podgate_signer::Signer;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Holds the CAs of Podgate, and gives agents, frontdoors and users their certificates.
#[derive(Parser)]
#[command(version = version::long())]
struct Arguments {
    #[command(flatten)]
    options: daemon::Options,
}

fn main() -> ExitCode {
    daemon::run::<Signer>(&Arguments::parse().options)
}
