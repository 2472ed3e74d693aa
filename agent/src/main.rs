//! `podgate-agent --config agent.yaml`: arguments, signals, exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use podgate_agent::{Agent, config::Config};
use podgate_process::{log, version};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs sessions in this node's containers for Podgate's frontdoors.
#[derive(Parser)]
#[command(version = version::long())]
struct Arguments {
    /// The configuration (YAML).
    #[arg(long)]
    config: PathBuf,
    /// Check the configuration and exit: 0 if it is sound, 2 if not.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match Config::read(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("podgate-agent: {error}");
            return ExitCode::from(2);
        }
    };
    if arguments.check {
        return ExitCode::SUCCESS;
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("podgate-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    log::start(&config.log, "info").map_err(anyhow::Error::msg)?;
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    // For accepting and the admin address alone; sessions have runtimes of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (draining, stopped) = (CancellationToken::new(), CancellationToken::new());
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let agent = Agent::bind(config)
            .await?
            .run(draining.clone(), stopped.clone());
        tokio::pin!(agent);
        loop {
            tokio::select! {
                result = &mut agent => return Ok(result?),
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // The first asks to drain, the second not to wait.
            if draining.is_cancelled() {
                stopped.cancel()
            } else {
                draining.cancel()
            }
        }
    })
}
