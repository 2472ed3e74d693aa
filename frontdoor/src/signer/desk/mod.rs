//! The desk: a bearer token and a public key become an SSH user certificate, for the identity that the
//! API server or an OIDC issuer vouches for.

mod authority;
mod config;
mod exchange;
mod http;
mod issue;
mod kubernetes;
mod oidc;
mod rates;
mod trusted;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use podgate_process::listener::{self, address, listen};
use podgate_process::mtls;
use tokio::net::TcpListener;

pub(super) use config::{Config, File};

use super::connections::Ends;
use super::metrics::Metrics;
use super::token;
use super::tokens::Tokens;
use crate::kubernetes::Reference;
use authority::Authority;
use exchange::Exchange;
use kubernetes::Kubernetes;
use oidc::Issuer;
use rates::Rates;

/// How often the CA's key and the bundle are looked at, which others write, too.
const PUBLISH: Duration = Duration::from_secs(10);
/// The same after the key could not be read, or not be written there.
const AGAIN: Duration = Duration::from_secs(5);

/// Why there is no desk.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error(transparent)]
    Listen(#[from] listener::Error),
    #[error("tls: {0}")]
    Tls(#[from] mtls::Error),
    #[error("ca: {0}")]
    Authority(#[from] authority::Error),
    #[error("oidc: {0}")]
    Issuer(#[from] oidc::FetchError),
}

/// A desk that listens, and does not serve yet.
pub(super) struct Desk {
    listener: TcpListener,
    certificate: http::Certificate,
    exchange: Arc<Exchange>,
    client: kube::Client,
    bundle: Reference,
}

impl Desk {
    /// Reads the files, and listens.
    pub(super) async fn bind(
        config: Config,
        client: &kube::Client,
        bundle: &Reference,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let certificate = http::certificate(config.tls)?;
        let authority = Authority::new(config.ca)?;
        let issuers = config.oidc.into_iter().map(Issuer::new);
        let issuers = issuers.collect::<Result<_, _>>()?;
        let exchange = Exchange {
            kubernetes: Kubernetes::new(Tokens::new(client.clone()), config.audience),
            issuers,
            authority,
            terms: config.terms,
            rates: Mutex::new(Rates::new(config.each_a_minute, config.all_a_minute)),
            under_way: Exchange::under_way(),
            metrics,
        };
        Ok(Self {
            listener: listen(config.listen).await?,
            certificate,
            exchange: Arc::new(exchange),
            client: client.clone(),
            bundle: bundle.clone(),
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> String {
        address(&self.listener)
    }

    /// Serves until `draining`, lets calls that are under way end, and ends at `stopped`. Meanwhile it
    /// follows the CA's key, and keeps its public half in the bundle.
    pub(super) async fn serve(self, ends: Ends) {
        // Another signer may sign by the last key for a moment longer.
        let lifetime = Duration::from_secs(self.exchange.terms.lifetime) + PUBLISH;
        let lasts = SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX);
        let keep = async {
            loop {
                let authority = &self.exchange.authority;
                let next = match authority.keep(&self.client, &self.bundle, lasts).await {
                    Ok(()) => PUBLISH,
                    Err(error) => {
                        let serves = authority.current().is_some();
                        tracing::warn!(%error, serves, "the desk's CA cannot be kept");
                        AGAIN
                    }
                };
                tokio::time::sleep(next).await;
            }
        };
        let exchange = Arc::clone(&self.exchange);
        tokio::select! {
            () = http::serve(self.listener, self.certificate, exchange, ends) => {}
            () = keep => {}
        }
    }
}
