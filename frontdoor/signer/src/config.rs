//! The signer's configuration: YAML, checked as a whole before anything starts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podgate_identity::kubernetes::Reference;
use podgate_identity::kubernetes::token_claims::own_audience;
use podgate_process::bounds::{self, Bounds};
use podgate_process::config::{self, Configuration, Error, Invalid};
use podgate_process::{admin, log};
use serde::Deserialize;

use crate::desk;
use crate::hosts;

/// A checked configuration. Each field is explained in `signer.example.yaml`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "signer.example.yaml has them")]
pub struct Config {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub admin_connections: Bounds,
    pub kubeconfig: Option<PathBuf>,
    pub ca: Ca,
    pub bundle: Reference,
    pub enrolment: Enrolment,
    pub(crate) desk: Option<desk::Config>,
    pub(crate) hosts: Option<hosts::Config>,
    pub drain: Duration,
    pub log: log::Config,
}

/// Where the CA's key and certificate are.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "signer.example.yaml has them")]
pub struct Ca {
    pub source: Source,
    /// How long parts are told of a new CA before it issues.
    pub spread: Duration,
}

/// Who keeps the CA.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// This signer, in a Secret of its own.
    Secret(Reference),
    /// Somebody else, in files that may be replaced.
    Files(Files),
}

/// A mounted Secret of cert-manager's kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "signer.example.yaml has them")]
pub struct Files {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Who gets which certificate.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "signer.example.yaml has them")]
pub struct Enrolment {
    pub audience: String,
    pub agents: Account,
    pub frontdoors: Account,
    pub lifetime: Duration,
    pub connections: Bounds,
    /// Calls per minute from one address whose tokens are refused.
    pub refused_a_minute: u32,
}

/// The default for enrolment's `connections`. Each part calls from its own address once in hours, and
/// again when it fails.
const CONNECTIONS: Bounds = Bounds {
    total: 256,
    per_address: 32,
    per_second_and_address: 10,
    seconds: 15,
};

/// A ServiceAccount.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[allow(missing_docs, reason = "signer.example.yaml has them")]
pub struct Account {
    pub namespace: String,
    pub service_account: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    #[serde(default = "default_listen")]
    listen: SocketAddr,
    #[serde(default = "admin::address")]
    admin: SocketAddr,
    kubeconfig: Option<PathBuf>,
    ca: CaFile,
    bundle: Reference,
    #[serde(default)]
    admin_connections: bounds::File,
    enrolment: EnrolmentFile,
    desk: Option<desk::File>,
    hosts: Option<hosts::File>,
    #[serde(default = "default_drain")]
    drain_seconds: u64,
    #[serde(default)]
    log: log::Config,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CaFile {
    secret: Option<Reference>,
    files: Option<Files>,
    #[serde(default = "default_spread")]
    spread_seconds: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct EnrolmentFile {
    #[serde(default = "default_audience")]
    audience: String,
    agents: Account,
    frontdoors: Account,
    #[serde(default = "default_lifetime")]
    lifetime_seconds: u32,
    #[serde(default)]
    connections: bounds::File,
    #[serde(default = "default_refused")]
    refused_per_minute_and_address: u32,
}

fn default_listen() -> SocketAddr {
    ([0, 0, 0, 0], 8443).into()
}

fn default_spread() -> u32 {
    600
}

fn default_audience() -> String {
    "podgate-enrolment".to_owned()
}

fn default_lifetime() -> u32 {
    24 * 60 * 60
}

fn default_refused() -> u32 {
    60
}

fn default_drain() -> u64 {
    10
}

impl Configuration for Config {
    fn read(path: &Path) -> Result<Self, Error> {
        config::read(path, check)
    }

    fn log(&self) -> &log::Config {
        &self.log
    }
}

fn check(file: File) -> Result<Config, Invalid> {
    let source = match (file.ca.secret, file.ca.files) {
        (Some(secret), None) => Source::Secret(secret),
        (None, Some(files)) => Source::Files(files),
        _ => return Err(Invalid::new("ca", "needs one of secret and files")),
    };
    let seconds = |seconds| Duration::from_secs(u64::from(seconds));
    if file.ca.spread_seconds == 0 {
        return Err(Invalid::new("ca.spreadSeconds", "must be at least 1"));
    }
    let EnrolmentFile {
        audience,
        agents,
        frontdoors,
        lifetime_seconds,
        connections,
        refused_per_minute_and_address,
    } = file.enrolment;
    own_audience(&audience).map_err(|reason| Invalid::new("enrolment.audience", reason))?;
    for (key, number) in [
        ("enrolment.lifetimeSeconds", lifetime_seconds),
        (
            "enrolment.refusedPerMinuteAndAddress",
            refused_per_minute_and_address,
        ),
    ] {
        if number == 0 {
            return Err(Invalid::new(key, "must be at least 1"));
        }
    }
    let desk = file.desk.map(desk::File::check).transpose()?;
    if desk.as_ref().is_some_and(|desk| desk.audience == audience) {
        let reason =
            "is enrolment's audience: every part's token would be good for the desk".to_owned();
        return Err(Invalid::new("desk.audience", reason));
    }
    let lifetime = seconds(lifetime_seconds);
    let hosts = file.hosts.map(|hosts| hosts.check(lifetime)).transpose()?;
    file.log
        .check()
        .map_err(|error| Invalid::new("log", error))?;
    Ok(Config {
        listen: file.listen,
        admin: file.admin,
        admin_connections: file.admin_connections.or(admin::BOUNDS),
        kubeconfig: file.kubeconfig,
        ca: Ca {
            source,
            spread: seconds(file.ca.spread_seconds),
        },
        bundle: file.bundle,
        enrolment: Enrolment {
            audience,
            agents,
            frontdoors,
            lifetime,
            connections: connections.or(CONNECTIONS),
            refused_a_minute: refused_per_minute_and_address,
        },
        desk,
        hosts,
        drain: Duration::from_secs(file.drain_seconds),
        log: file.log,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../signer.example.yaml");

    fn read(yaml: &str) -> Result<Config, String> {
        check(config::parse(yaml)?).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn the_example_is_a_configuration() {
        let config = read(EXAMPLE).unwrap();
        assert_eq!(config.enrolment.lifetime, Duration::from_secs(86_400));
        assert!(matches!(config.ca.source, Source::Secret(_)));
        assert!(config.desk.is_some() && config.hosts.is_some());
    }

    #[test]
    fn a_wrong_key_or_value_is_named() {
        let check = |from: &str, to: &str, expect: &str| {
            assert!(EXAMPLE.contains(from), "{from:?}");
            let error = read(&EXAMPLE.replace(from, to)).err().unwrap_or_default();
            assert!(error.contains(expect), "{to:?} gave {error:?}");
        };
        check("\nbundle:", "\nbundel:", "bundel");
        check("  secret: {", "  secrets: {", "ca.secrets");
        check("  secret: {", "  # secret: {", "ca: needs one");
        check(
            "spreadSeconds: 600",
            "spreadSeconds: 0",
            "ca.spreadSeconds: ",
        );
        check(
            "audience: podgate-enrolment",
            "audience: ''",
            "enrolment.audience: ",
        );
        let server = "audience: https://kubernetes.default.svc";
        check(
            "audience: podgate-enrolment",
            server,
            "enrolment.audience: ",
        );
        let both = "audience: podgate";
        check(
            "audience: podgate-enrolment",
            both,
            "desk.audience: is enrol",
        );
        check(
            "lifetimeSeconds: 86400",
            "lifetimeSeconds: 0",
            "enrolment.lifetimeSeconds: ",
        );
        check("frontdoors: {", "frontdors: {", "frontdors");
    }
}
