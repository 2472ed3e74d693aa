//! The CA of agents and frontdoors. The bundle tells all parts which CAs to trust. CAs are replaced in
//! such an order that every valid certificate is trusted at every moment.

mod authority;
mod bundle;
mod plan;
mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use podgate_identity::kubernetes::ObjectError;
use podgate_process::mtls::SIGNER_NAME;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::sync::watch;

pub(crate) use authority::{Authority, End, Error as SignError, Point};

use crate::config::Config;
use crate::metrics::Metrics;

/// The longest and the shortest pause between two looks at the API server or the files.
const LOOKS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_millis(200));

/// Why a look at the CA failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("bundle: {0}")]
    Bundle(#[from] ObjectError),
    #[error("no certificate for {SIGNER_NAME}: {0}")]
    Own(#[from] SignError),
    #[error("no TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// The CA that issues now, and the signer's own TLS.
pub(crate) struct Issuing {
    /// The CA that issues.
    pub(crate) authority: Arc<Authority>,
    /// TLS with a certificate of that CA for the signer itself.
    pub(crate) tls: Arc<ServerConfig>,
    /// When that certificate is to be replaced.
    renew: Instant,
}

/// Follows the CA as it is replaced.
pub(crate) struct Ca {
    client: kube::Client,
    config: Config,
    metrics: Arc<Metrics>,
    issuing: watch::Sender<Option<Arc<Issuing>>>,
}

impl Ca {
    pub(crate) fn new(client: kube::Client, config: Config, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            config,
            metrics,
            issuing: watch::Sender::default(),
        }
    }

    /// The CA that issues now, once all parts can know one.
    pub(crate) fn issuing(&self) -> Option<Arc<Issuing>> {
        self.issuing.borrow().clone()
    }

    /// Waits until there is a CA that issues.
    pub(super) async fn issues(&self) {
        let mut issuing = self.issuing.subscribe();
        // The sender is in `self`, so this cannot fail.
        let _ = issuing.wait_for(Option::is_some).await;
    }

    /// Keeps the Secret and the bundle up to date. Does not return.
    pub(crate) async fn follow(&self) {
        let mut keys = Vec::new();
        // Far shorter than the times after which a CA or the signer's own certificate is due.
        let times = self.config.ca.spread.min(self.config.enrolment.lifetime);
        let pause = (times / 10).clamp(LOOKS.1, LOOKS.0);
        loop {
            if let Err(error) = self.look(&mut keys).await {
                tracing::warn!(%error, serves = self.issuing().is_some(), "the CA or its bundle cannot be read or updated");
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn look(&self, keys: &mut Vec<Arc<Authority>>) -> Result<(), Error> {
        let (ca, lifetime) = (&self.config.ca, self.config.enrolment.lifetime);
        *keys = store::read(&self.client, &ca.source, keys).await?;
        let certificates: Vec<_> = keys.iter().map(|key| key.certificate().clone()).collect();
        let of = &self.config.bundle;
        let kept = bundle::keep(&self.client, of, &certificates, ca.spread, lifetime);
        let (issuer, trusted) = kept.await?;
        self.metrics.trusted(trusted);
        let Some(authority) = issuer.and_then(|index| keys.get(index).cloned()) else {
            tracing::info!("the CA is new; it issues once all parts have heard of it");
            return Ok(());
        };
        self.publish(&authority, lifetime)?;
        if issuer == Some(0) && keys.len() > 1 {
            store::promote(&self.client, &ca.source, keys, &authority).await?;
        }
        Ok(())
    }

    /// Serves by this CA from now on, with a certificate of its own that is not due for renewal.
    fn publish(&self, authority: &Arc<Authority>, lifetime: Duration) -> Result<(), Error> {
        let fits = self.issuing().is_some_and(|issuing| {
            issuing.authority.certificate() == authority.certificate()
                && issuing.renew > Instant::now()
        });
        if fits {
            return Ok(());
        }
        let key = KeyPair::generate().map_err(SignError::from)?;
        let (certificate, lifetime) = authority.issue(SIGNER_NAME, End::Server, &key, lifetime)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut tls = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        self.metrics.issuer(authority.expires());
        self.issuing.send_replace(Some(Arc::new(Issuing {
            authority: Arc::clone(authority),
            tls: Arc::new(tls),
            renew: Instant::now() + lifetime / 2,
        })));
        Ok(())
    }
}
