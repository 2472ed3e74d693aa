//! The frame of `main`: its options, log, TLS provider, signals and exit code. An unusable
//! configuration is exit code 2. The first SIGTERM or SIGINT begins to drain, the second stops.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, SupportedCipherSuite};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Configuration;
use crate::log;
use crate::shutdown::Shutdown;

/// The command line's options.
#[derive(Debug, Args)]
pub struct Options {
    /// The configuration (YAML).
    #[arg(long)]
    config: PathBuf,
    /// Check the configuration, and what it says can be reached, and exit with 0 if it is valid, 2 if not.
    #[arg(long)]
    check: bool,
}

/// A program that serves until it is told to end.
pub trait Daemon: Sized {
    /// The name that begins its lines on standard error.
    const NAME: &'static str;
    /// The log's filter, unless the configuration or RUST_LOG has one.
    const LOG: &'static str;
    /// A checked configuration.
    type Config: Configuration;
    /// A reason why the program ends early.
    type Error: StdError;

    /// Gets all that is needed to serve, and listens. It may be given up at any time.
    fn bind(
        config: Self::Config,
        shutdown: Shutdown,
    ) -> impl Future<Output = Result<Self, Self::Error>>;

    /// Checks, for `--check`, what a valid configuration names and only the program can try.
    fn check(_config: Self::Config) -> impl Future<Output = Result<(), Self::Error>> {
        async { Ok(()) }
    }

    /// Serves until `shutdown` drains, and ends in order.
    fn run(self) -> impl Future<Output = Result<(), Self::Error>>;
}

/// A program ends early.
#[derive(Debug, thiserror::Error)]
enum Error<E: StdError> {
    #[error("{0}")]
    Log(String),
    #[error("a TLS provider is installed already")]
    Provider,
    #[error("cannot start: {0}")]
    Runtime(#[from] io::Error),
    #[error("{0}")]
    Daemon(E),
}

/// Runs a program to its end, or only checks its configuration.
pub fn run<D: Daemon>(options: &Options) -> ExitCode {
    // Each of many threads would keep pages of 2 MiB of which it needs little. Where that fails, memory is higher.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let config = match D::Config::read(&options.config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{}: {error}", D::NAME);
            return ExitCode::from(2);
        }
    };
    if options.check {
        return match check::<D>(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: {error}", D::NAME);
                ExitCode::from(2)
            }
        };
    }
    let started = log::start(config.log(), D::LOG).map_err(Error::Log);
    match started.and_then(|()| serve::<D>(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", D::NAME);
            ExitCode::FAILURE
        }
    }
}

fn check<D: Daemon>(config: D::Config) -> Result<(), Error<D::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let checked = runtime.block_on(D::check(config)).map_err(Error::Daemon);
    // A file call may hang.
    runtime.shutdown_background();
    checked
}

/// The cryptography of all TLS. A client's first cipher is AES with 128 bits, which is as good for a link and
/// takes less time than with 256.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    let is_first =
        |suite: &SupportedCipherSuite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256;
    provider.cipher_suites.sort_by_key(|suite| !is_first(suite));
    provider
}

fn serve<D: Daemon>(config: D::Config) -> Result<(), Error<D::Error>> {
    provider().install_default().map_err(|_| Error::Provider)?;
    // For all but sessions, which have runtimes of their own (see `workers`).
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let shutdown = Shutdown::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let daemon = async {
            // Binding may wait for the API server, and has begun nothing that must end in order.
            let bind = D::bind(config, shutdown.clone());
            match shutdown.draining.run_until_cancelled(bind).await {
                Some(daemon) => daemon?.run().await,
                None => {
                    tracing::info!("stopped before it served");
                    Ok(())
                }
            }
        };
        tokio::pin!(daemon);
        loop {
            tokio::select! {
                result = &mut daemon => return result.map_err(Error::Daemon),
                _ = terminate.recv() => shutdown.advance(),
                _ = interrupt.recv() => shutdown.advance(),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cipher_is_aes_with_128_bits() {
        let all = rustls::crypto::aws_lc_rs::default_provider().cipher_suites;
        let ours = provider().cipher_suites;
        let first = ours.first().map(SupportedCipherSuite::suite);
        assert_eq!(first, Some(CipherSuite::TLS13_AES_128_GCM_SHA256));
        assert_eq!(ours.len(), all.len());
    }
}
