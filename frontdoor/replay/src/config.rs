//! The page's configuration: YAML, checked as a whole before anything starts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podgate_identity::kubernetes::KeySource;
use podgate_identity::kubernetes::token_claims::own_audience;
use podgate_process::bounds::{self, Bounds};
use podgate_process::config::{self, Configuration, Error, Invalid};
use podgate_process::{admin, audit, https, log};
use podgate_recording::StoreConfig;
use serde::Deserialize;

/// A checked configuration. Each field is explained in `replay.example.yaml`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "replay.example.yaml has them")]
pub struct Config {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub admin_connections: Bounds,
    pub url: String,
    pub tls: https::Files,
    pub connections: Bounds,
    pub kubeconfig: Option<PathBuf>,
    pub store: StoreConfig,
    pub key: KeySource,
    pub tokens: Option<String>,
    pub session: Duration,
    pub limits: Limits,
    pub audit: audit::Config,
    pub drain: Duration,
    pub log: log::Config,
}

/// What visitors may take.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[allow(missing_docs, reason = "replay.example.yaml has them")]
pub struct Limits {
    pub refused_per_minute_and_address: u32,
    pub lookups_per_user_per_minute: u32,
    pub requests: u16,
    pub requests_per_user: u16,
    pub streams: u16,
    pub streams_per_user: u16,
    pub followers: u16,
    pub followers_per_user: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            refused_per_minute_and_address: 60,
            lookups_per_user_per_minute: 6000,
            requests: 32,
            requests_per_user: 8,
            streams: 16,
            streams_per_user: 4,
            followers: 200,
            followers_per_user: 10,
        }
    }
}

/// The default for `connections`. Users may all come from one address, that of an Ingress.
const CONNECTIONS: Bounds = Bounds {
    total: 1024,
    per_address: 256,
    per_second_and_address: 50,
    seconds: 20,
};
/// The longest time that one stays signed in, in seconds. The store keeps what a cookie refers to for a day.
const LONGEST: u32 = 12 * 3600;
pub(crate) const LONGEST_VISIT: Duration = Duration::from_secs(LONGEST as u64);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    #[serde(default = "default_listen")]
    listen: SocketAddr,
    #[serde(default = "admin::address")]
    admin: SocketAddr,
    #[serde(default)]
    admin_connections: bounds::File,
    url: String,
    tls: https::Files,
    #[serde(default)]
    connections: bounds::File,
    kubeconfig: Option<PathBuf>,
    store: String,
    #[serde(default)]
    options: BTreeMap<String, String>,
    key: KeySource,
    tokens: Option<TokensFile>,
    #[serde(default = "default_session")]
    session_seconds: u32,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    audit: audit::File,
    #[serde(default = "default_drain")]
    drain_seconds: u64,
    #[serde(default)]
    log: log::Config,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensFile {
    audience: String,
}

fn default_listen() -> SocketAddr {
    ([0, 0, 0, 0], 8445).into()
}

fn default_session() -> u32 {
    3600
}

fn default_drain() -> u64 {
    10
}

impl Configuration for Config {
    fn read(path: &Path) -> Result<Self, Error> {
        config::read(path, checked)
    }

    fn log(&self) -> &log::Config {
        &self.log
    }
}

fn checked(file: File) -> Result<Config, Invalid> {
    let host = file.url.strip_prefix("https://").unwrap_or_default();
    if host.is_empty() || host.contains(['/', '?', '#', '@']) {
        let reason = format!("{:?} must be https://HOST or https://HOST:PORT", file.url);
        return Err(Invalid::new("url", reason));
    }
    let known = ["file:///", "s3://", "gs://", "az://"];
    if !known.iter().any(|begin| file.store.starts_with(begin)) {
        let reason = "must begin with file:///, s3://, gs:// or az://";
        return Err(Invalid::new("store", reason));
    }
    if let Some(tokens) = &file.tokens {
        own_audience(&tokens.audience).map_err(|reason| Invalid::new("tokens.audience", reason))?;
    }
    if !(60..=LONGEST).contains(&file.session_seconds) {
        let reason = format!("must be from 60 to {LONGEST}");
        return Err(Invalid::new("sessionSeconds", reason));
    }
    let limits = file.limits;
    for (key, number) in [
        (
            "limits.refusedPerMinuteAndAddress",
            limits.refused_per_minute_and_address,
        ),
        (
            "limits.lookupsPerUserPerMinute",
            limits.lookups_per_user_per_minute,
        ),
        ("limits.requests", limits.requests.into()),
        ("limits.requestsPerUser", limits.requests_per_user.into()),
        ("limits.streams", limits.streams.into()),
        ("limits.streamsPerUser", limits.streams_per_user.into()),
        ("limits.followers", limits.followers.into()),
        ("limits.followersPerUser", limits.followers_per_user.into()),
    ] {
        if number == 0 {
            return Err(Invalid::new(key, "must be at least 1"));
        }
    }
    let log = file.log;
    log.check().map_err(|error| Invalid::new("log", error))?;
    Ok(Config {
        listen: file.listen,
        admin: file.admin,
        admin_connections: file.admin_connections.or(admin::BOUNDS),
        url: file.url,
        tls: file.tls,
        connections: file.connections.or(CONNECTIONS),
        kubeconfig: file.kubeconfig,
        store: StoreConfig {
            url: file.store,
            options: file.options,
        },
        key: file.key,
        tokens: file.tokens.map(|tokens| tokens.audience),
        session: Duration::from_secs(file.session_seconds.into()),
        limits,
        audit: file.audit.check()?,
        drain: Duration::from_secs(file.drain_seconds),
        log,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../replay.example.yaml");

    fn read(yaml: &str) -> Result<Config, String> {
        checked(config::parse(yaml)?).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn the_example_has_the_defaults() {
        let config = read(EXAMPLE).unwrap();
        let (limits, own) = (format!("{:?}", config.limits), Limits::default());
        assert_eq!(limits, format!("{own:?}"));
        assert_eq!(config.session.as_secs(), u64::from(default_session()));
        assert_eq!(config.connections, CONNECTIONS);
        assert!(config.key.is_secret() && config.tokens.is_some());
    }

    #[test]
    fn a_wrong_key_or_value_is_named() {
        let check = |from: &str, to: &str, expect: &str| {
            assert!(EXAMPLE.contains(from), "{from:?}");
            let error = read(&EXAMPLE.replace(from, to)).err().unwrap_or_default();
            assert!(error.contains(expect), "{to:?} gave {error:?}");
        };
        check("url: https://", "url: http://", "url: ");
        check("example.com\n", "example.com/x\n", "url: ");
        check("store: s3", "store: ftp", "store: must begin");
        check("key: {secret", "key: {secrets", "key");
        check("audience: podgate-page", "audience: ''", "tokens.audience");
        check("sessionSeconds: 3600", "sessionSeconds: 5", "from 60 to");
        check("streams: 16", "streams: 0", "limits.streams: ");
        check("followers: 200", "followers: 0", "limits.followers: ");
        check("\nlimits:", "\nlimit:", "limit");
    }
}
