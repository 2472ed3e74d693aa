//! The client of the API server. Each wait for it has a limit. A failed watch is tried again after
//! growing pauses, short enough to be up to date within 10 s of the server's return.

use std::path::Path;
use std::time::Duration;

use backon::ExponentialBuilder;
use kube::Client;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::utils::ResetTimerBackoff;
use kube::runtime::watcher::ExponentialBackoff;
use secrecy::ExposeSecret;
use tower::timeout::TimeoutLayer;

use super::bounded::BoundLayer;

/// How long to wait for the head of an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for the next part of an answer. Even a watch without events gets a bookmark a
/// minute (apiserver, `pkg/storage/cacher`).
const SILENCE: Duration = Duration::from_secs(90);
/// The first and the longest pause before a failed watch is tried again. Up to as much again is added at
/// random, so that a cluster's clients do not all come at once.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));
/// After a watch has stood for this long, the pauses begin anew.
const STOOD: Duration = Duration::from_secs(60);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("no Kubernetes configuration: {0}")]
    Config(Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot make a client for the API server: {0}")]
    Client(#[from] kube::Error),
}

/// Makes a client from the kubeconfig or, without one, from the pod's own configuration. Call it on the
/// runtime that will use the client.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, Error> {
    build(read(kubeconfig).await?)
}

/// The same, but it reports at once that the API server is too busy, and does not ask again by itself.
pub async fn connect_without_retries(kubeconfig: Option<&Path>) -> Result<Client, Error> {
    let mut config = read(kubeconfig).await?;
    config.default_retry = false;
    build(config)
}

fn build(mut config: kube::Config) -> Result<Client, Error> {
    config.connect_timeout = Some(ANSWER_TIMEOUT);
    config.read_timeout = Some(SILENCE);
    // Time that a connection was idle before does not count.
    config.reset_reader_on_write = true;
    let client = ClientBuilder::try_from(config)?;
    Ok(client
        .with_layer(&BoundLayer)
        .with_layer(&TimeoutLayer::new(ANSWER_TIMEOUT))
        .build())
}

/// The bearer token that a client made by [`connect`] shows now, if any.
pub async fn own_token(kubeconfig: Option<&Path>) -> Result<Option<String>, Error> {
    let shown = read(kubeconfig).await?.auth_info;
    // kube also prefers a token to a token file.
    match (shown.token, shown.token_file) {
        (Some(token), _) => Ok(Some(token.expose_secret().to_owned())),
        (None, Some(path)) => {
            let token = std::fs::read_to_string(path).map_err(|e| Error::Config(e.into()))?;
            Ok(Some(token.trim().to_owned()))
        }
        (None, None) => Ok(None),
    }
}

async fn read(kubeconfig: Option<&Path>) -> Result<kube::Config, Error> {
    let Some(path) = kubeconfig else {
        return kube::Config::incluster_env().map_err(|e| Error::Config(e.into()));
    };
    let file = Kubeconfig::read_from(path).map_err(|e| Error::Config(e.into()))?;
    kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(|e| Error::Config(e.into()))
}

/// The pauses before a failed watch is tried again.
pub fn backoff() -> ResetTimerBackoff<ExponentialBackoff> {
    let (first, most) = RETRY;
    let delays = ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(most)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times();
    ResetTimerBackoff::new(delays.into(), STOOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worst case is an attempt just before the API server's return.
    const _: () = assert!(ANSWER_TIMEOUT.as_secs() + 2 * RETRY.1.as_secs() < 10);

    #[test]
    fn a_watch_that_failed_is_tried_again_soon_and_for_ever() {
        let delays: Vec<_> = backoff().take(100).collect();
        assert_eq!(delays.len(), 100);
        assert!(delays.iter().all(|delay| *delay >= RETRY.0), "{delays:?}");
        assert!(
            delays.iter().all(|delay| *delay <= 2 * RETRY.1),
            "{delays:?}"
        );
        assert!(
            delays.iter().skip(4).all(|delay| *delay >= RETRY.1),
            "{delays:?}"
        );
    }
}
