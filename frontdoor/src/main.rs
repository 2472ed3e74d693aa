//! `podgate-frontdoor [run|signer] --config FILE`: arguments, signals, exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use podgate_frontdoor::signer::{self, Signer};
use podgate_frontdoor::{Frontdoor, config::Config, process};
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

#[derive(Args)]
struct Options {
    /// The configuration (YAML).
    #[arg(long)]
    config: PathBuf,
    /// Check the configuration and exit: 0 if it is sound, 2 if not.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let Arguments { mode, run } = Arguments::parse();
    match mode.or(run.map(Mode::Run)) {
        Some(Mode::Run(Options { config, check })) => {
            let (config, bind, run) = (Config::read(&config), Frontdoor::bind, Frontdoor::run);
            process::run(config, check, |config| &config.log, bind, run)
        }
        Some(Mode::Signer(Options { config, check })) => {
            let (config, bind, run) = (signer::Config::read(&config), Signer::bind, Signer::run);
            process::run(config, check, |config| &config.log, bind, run)
        }
        None => ExitCode::from(2),
    }
}
