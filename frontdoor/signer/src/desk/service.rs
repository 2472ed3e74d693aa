//! The desk as a whole: it reads its files, listens, and keeps the CA's key up to date.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use podgate_identity::kubernetes::token_users::TokenUsers;
use podgate_identity::kubernetes::{self, Client, Reference};
use podgate_process::connection_slots::ConnectionSlots;
use podgate_process::https;
use podgate_process::listener::{self, address, listen};
use podgate_process::mtls;
use podgate_process::shutdown::Shutdown;
use tokio::net::TcpListener;

use super::config::Config;
use super::exchange::Exchange;
use super::http;
use super::oidc::{self, Issuer};
use super::rates::Rates;
use crate::hosts::Hosts;
use crate::metrics::Metrics;
use crate::ssh_ca::{self, Authority, Kind};

/// Why the desk does not run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error(transparent)]
    Listen(#[from] listener::Error),
    #[error("tls: {0}")]
    Tls(#[from] mtls::Error),
    #[error("ca: {0}")]
    Authority(#[from] ssh_ca::Error),
    #[error("oidc: {0}")]
    Issuer(#[from] oidc::FetchError),
    #[error("kubeconfig: {0}")]
    Kubernetes(#[from] kubernetes::Error),
    #[error("cannot start its thread: {0}")]
    Thread(io::Error),
    #[error("its thread ended")]
    Ended,
}

/// A desk that listens and does not serve yet.
pub(super) struct Desk {
    listener: TcpListener,
    certificate: https::Certificate,
    exchange: Arc<Exchange>,
    client: Client,
    bundle: Reference,
    hosts: Option<Arc<Hosts>>,
    slots: Arc<ConnectionSlots>,
}

impl Desk {
    /// Reads the files, and listens.
    pub(super) async fn bind(
        config: Config,
        kubeconfig: Option<&Path>,
        bundle: Reference,
        hosts: Option<Arc<Hosts>>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        // The desk has a client of its own, so that it shares no connection with enrolment.
        let client = kubernetes::connect(kubeconfig).await?;
        let certificate = https::certificate(config.tls)?;
        let authority = Authority::new(Kind::Users, config.ca)?;
        let issuers = config.oidc.into_iter().map(Issuer::new);
        let issuers = issuers.collect::<Result<_, _>>()?;
        let refused = metrics.refused_connections.clone();
        let slots = ConnectionSlots::new("desk", config.connections, refused);
        let exchange = Exchange {
            kubernetes: TokenUsers::new(client.clone(), config.audience),
            issuers,
            authority,
            terms: config.terms,
            rates: Mutex::new(Rates::new(
                config.each_a_minute,
                config.all_a_minute,
                config.refused_a_minute,
            )),
            under_way: Exchange::under_way(),
            metrics,
        };
        Ok(Self {
            listener: listen(config.listen).await?,
            certificate,
            exchange: Arc::new(exchange),
            client,
            bundle,
            hosts,
            slots,
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> String {
        address(&self.listener)
    }

    /// Serves until `draining`. Requests under way then end by themselves, or are ended at `stopped`.
    /// Meanwhile it follows the CA's key, and keeps its public half in the bundle.
    pub(super) async fn serve(self, shutdown: Shutdown) {
        let lifetime = Duration::from_secs(self.exchange.terms.lifetime);
        let authority = &self.exchange.authority;
        let keep = authority.follow(&self.client, &self.bundle, lifetime);
        let exchange = Arc::clone(&self.exchange);
        tokio::select! {
            () = http::serve((self.listener, self.slots), self.certificate, (exchange, self.hosts), shutdown) => {}
            () = keep => {}
        }
    }
}
