//! The desk: a bearer token and a public key become an SSH user certificate.

mod config;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(super) use config::{Config, File};

use super::metrics::Metrics;
use super::tokens::Tokens;

/// Why there is no desk.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
}

/// A desk that listens, and does not serve yet.
pub(super) struct Desk {
    listener: TcpListener,
    _tokens: Tokens,
    _metrics: Arc<Metrics>,
}

impl Desk {
    pub(super) async fn bind(
        config: Config,
        tokens: Tokens,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let address = config.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| Error::Listen { address, source })?;
        Ok(Self {
            listener,
            _tokens: tokens,
            _metrics: metrics,
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> String {
        self.listener
            .local_addr()
            .map_or_else(|error| error.to_string(), |address| address.to_string())
    }

    /// Serves until `draining`, lets calls that are under way end, and ends at `stopped`.
    pub(super) async fn serve(self, draining: CancellationToken, _stopped: CancellationToken) {
        draining.cancelled().await;
    }
}
