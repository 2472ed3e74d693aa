//! `podgate-frontdoor [run|signer] --config FILE`

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use podgate_frontdoor::{Frontdoor, signer::Signer};
use podgate_process::daemon::{self, Options};
use podgate_process::version;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Lets SSH clients into the pods of a Kubernetes cluster.
#[derive(Parser)]
#[command(
    version = version::long(),
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    run: Option<Options>,
}

#[derive(Subcommand)]
enum Mode {
    /// Serve SSH clients; also without this word.
    Run(Options),
    /// Hold the CA, and give agents and frontdoors their certificates.
    Signer(Options),
}

fn main() -> ExitCode {
    let Arguments { mode, run } = Arguments::parse();
    match mode.or(run.map(Mode::Run)) {
        Some(Mode::Run(options)) => daemon::run::<Frontdoor>(&options),
        Some(Mode::Signer(options)) => daemon::run::<Signer>(&options),
        None => ExitCode::from(2),
    }
}
