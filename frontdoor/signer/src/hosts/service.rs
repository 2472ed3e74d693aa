//! The CA of hosts, and what it certifies.

use std::sync::Arc;

use bytes::Bytes;
use kube::Client;
use podgate_identity::kubernetes::Reference;
use podgate_proto::limits::MAX_HOST_KEYS;
use ssh_key::Certificate;

use super::config::Config;
use super::issue;
use crate::clock::now;
use crate::metrics::Metrics;
use crate::ssh_ca::{self, Authority, Kind};

/// Certifies the host keys of frontdoors.
pub(crate) struct Hosts {
    config: Config,
    authority: Authority,
    metrics: Arc<Metrics>,
}

impl Hosts {
    pub(crate) fn new(config: Config, metrics: Arc<Metrics>) -> Result<Self, ssh_ca::Error> {
        Ok(Self {
            authority: Authority::new(Kind::Hosts, config.ca.clone())?,
            config,
            metrics,
        })
    }

    /// Follows the CA's key, and keeps its public half in the bundle. Does not return.
    pub(crate) async fn follow(&self, client: &Client, bundle: &Reference) {
        let lifetime = self.config.lifetime;
        self.authority.follow(client, bundle, lifetime).await;
    }

    /// The CA's public keys, a line each.
    pub(crate) fn lines(&self) -> Option<Arc<str>> {
        self.authority.lines()
    }

    /// A certificate for each key that can have one; what is wrong with another one is logged. `None` if
    /// there is no CA yet.
    pub(crate) async fn certify(&self, keys: &[Bytes]) -> Option<Vec<Bytes>> {
        let authority = self.authority.current().await;
        if authority.is_none() {
            self.metrics.host_certificate("not_ready");
        }
        let (authority, names) = (authority?, &self.config.names);
        let now = now();
        let times = (now, now.saturating_add(self.config.lifetime.as_secs()));
        let certify = |key: &Bytes| {
            let made = issue::certificate(&authority, key, names, times);
            let bytes = made.and_then(|made| Ok((Certificate::to_bytes(&made)?, made)));
            match bytes {
                Ok((bytes, made)) => {
                    self.metrics.host_certificate("issued");
                    let (serial, key) = (
                        made.serial(),
                        made.public_key().fingerprint(Default::default()),
                    );
                    tracing::info!(serial, %key, ?names, "certified a host key");
                    Some(bytes.into())
                }
                Err(error) => {
                    self.metrics.host_certificate("key");
                    tracing::warn!(%error, "a host key gets no certificate");
                    None
                }
            }
        };
        Some(
            keys.iter()
                .take(MAX_HOST_KEYS)
                .filter_map(certify)
                .collect(),
        )
    }
}
