//! A part as a process: its exit code, its log, its TLS provider, and its signals. The first SIGTERM
//! or SIGINT asks to drain, the second not to wait.

use std::error::Error as StdError;
use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use podgate_process::log;

/// russh warns of what clients send, in their words.
const DEFAULT_LOG: &str = "info,russh=error";

/// Why a part ends before its time.
#[derive(Debug, thiserror::Error)]
enum Error<E: StdError> {
    #[error("{0}")]
    Log(String),
    #[error("a TLS provider is installed already")]
    Provider,
    #[error("cannot start: {0}")]
    Runtime(#[from] io::Error),
    #[error("{0}")]
    Part(E),
}

/// Binds and runs a part of this configuration until it ends, or only says whether there is one. The
/// part is given two tokens: *draining* and *stopped*.
pub fn run<C, P, E: StdError>(
    config: Result<C, impl StdError>,
    check: bool,
    log_of: impl Fn(&C) -> &log::Config,
    bind: impl AsyncFnOnce(C) -> Result<P, E>,
    run: impl AsyncFnOnce(P, CancellationToken, CancellationToken) -> Result<(), E>,
) -> ExitCode {
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            eprintln!("podgate-frontdoor: {error}");
            return ExitCode::from(2);
        }
    };
    if check {
        return ExitCode::SUCCESS;
    }
    let started = log::start(log_of(&config), DEFAULT_LOG).map_err(Error::Log);
    match started.and_then(|()| serve(config, bind, run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("podgate-frontdoor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve<C, P, E: StdError>(
    config: C,
    bind: impl AsyncFnOnce(C) -> Result<P, E>,
    run: impl AsyncFnOnce(P, CancellationToken, CancellationToken) -> Result<(), E>,
) -> Result<(), Error<E>> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| Error::Provider)?;
    // For all that is not a session, which have runtimes of their own: accepting, the admin address, the
    // watches, enrolment; in the signer for everything.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (draining, stopped) = (CancellationToken::new(), CancellationToken::new());
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let part = async {
            // It asks the API server, for half a minute where that is away, and has begun nothing yet
            // that would have to end in order.
            match draining.run_until_cancelled(bind(config)).await {
                Some(part) => run(part?, draining.clone(), stopped.clone()).await,
                None => {
                    tracing::info!("stopped before it served");
                    Ok(())
                }
            }
        };
        tokio::pin!(part);
        loop {
            tokio::select! {
                result = &mut part => return result.map_err(Error::Part),
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if draining.is_cancelled() {
                stopped.cancel()
            } else {
                draining.cancel()
            }
        }
    })
}
