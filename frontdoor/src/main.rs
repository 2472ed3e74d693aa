//! `podgate-frontdoor [run] --config frontdoor.yaml`

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use podgate_frontdoor::Frontdoor;
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
    options: Option<Options>,
}

#[derive(Subcommand)]
enum Mode {
    /// Serve SSH clients. The same as without a subcommand; older releases had others.
    #[command(hide = true)]
    Run(Options),
}

fn main() -> ExitCode {
    let Arguments { mode, options } = Arguments::parse();
    let options = options.or(mode.map(|Mode::Run(options)| options));
    match options {
        Some(options) => daemon::run::<Frontdoor>(&options),
        None => ExitCode::from(2),
    }
}
