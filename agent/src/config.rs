//! The agent's configuration: YAML, checked as a whole before anything starts.

mod kubelet;

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podgate_process::{log, workers};
use podgate_proto::{enrolment, mtls};
use serde::Deserialize;

use crate::audit;
use crate::grant::Deny;

/// A checked configuration. Each field is explained in `agent.example.yaml`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "agent.example.yaml has them")]
pub struct Config {
    pub node: String,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub certificate: enrolment::Source,
    pub kubelet: crate::kubelet::Config,
    pub node_helper: Option<PathBuf>,
    pub journal: Option<PathBuf>,
    pub hang_up_grace: Duration,
    pub deny: Deny,
    pub audit: audit::Config,
    /// How many may run at once.
    pub sessions: usize,
    pub drain: Duration,
    pub workers: usize,
    pub log: log::Config,
}

/// What the configuration may leave to the pod's own environment (the downward API), so that all nodes
/// share one file.
#[derive(Default)]
struct Environment {
    /// NODE_NAME, for `node`.
    node_name: Option<String>,
    /// HOST_IP, for `kubelet.url`.
    host_ip: Option<String>,
}

impl Environment {
    /// That of this process.
    fn read() -> Self {
        Self {
            node_name: std::env::var("NODE_NAME").ok(),
            host_ip: std::env::var("HOST_IP").ok(),
        }
    }
}

/// Why a file is no configuration: one line that names the key or value.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("{path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {reason}")]
    Yaml { path: PathBuf, reason: String },
    #[error("{path}: {key}: {reason}")]
    Value {
        path: PathBuf,
        key: &'static str,
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    node: Option<String>,
    #[serde(default = "default_listen")]
    listen: SocketAddr,
    #[serde(default = "default_admin")]
    admin: SocketAddr,
    tls: Option<mtls::Files>,
    enrolment: Option<enrolment::Config>,
    kubelet: kubelet::File,
    node_helper: Option<PathBuf>,
    journal: Option<PathBuf>,
    #[serde(default = "default_grace")]
    hang_up_grace_seconds: u64,
    #[serde(default)]
    deny: Deny,
    #[serde(default)]
    audit: audit::Config,
    #[serde(default = "default_sessions")]
    sessions: NonZeroU16,
    #[serde(default = "default_drain")]
    drain_seconds: u64,
    workers: Option<usize>,
    #[serde(default)]
    log: log::Config,
}

fn default_listen() -> SocketAddr {
    ([0, 0, 0, 0], 7443).into()
}

fn default_admin() -> SocketAddr {
    ([127, 0, 0, 1], 9091).into()
}

fn default_grace() -> u64 {
    10
}

fn default_sessions() -> NonZeroU16 {
    const { NonZeroU16::new(2000).expect("it is not 0") }
}

fn default_drain() -> u64 {
    30
}

impl Config {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let file = parse(&text).map_err(|reason| Error::Yaml {
            path: path.to_owned(),
            reason,
        })?;
        check(file, Environment::read()).map_err(|(key, reason)| Error::Value {
            path: path.to_owned(),
            key,
            reason,
        })
    }
}

/// Parses YAML; an error is one line with the key's path.
fn parse(yaml: &str) -> Result<File, String> {
    let mut key = String::new();
    let parsed = serde_saphyr::with_deserializer_from_str(yaml, |yaml| {
        serde_path_to_error::deserialize(yaml).map_err(|error| {
            key = format!("{}: ", error.path());
            error.into_inner()
        })
    });
    parsed.map_err(|error| {
        // The lines that follow the first draw the place.
        let reason = error.to_string();
        let reason = reason.lines().next().unwrap_or_default();
        format!("{key}{}", reason.trim_start_matches("error: "))
    })
}

fn check(file: File, environment: Environment) -> Result<Config, (&'static str, String)> {
    let node = file.node.or(environment.node_name).unwrap_or_default();
    if node.is_empty() {
        return Err((
            "node",
            "is absent, and so is the environment's NODE_NAME".into(),
        ));
    }
    mtls::agent_name(&node).map_err(|error| ("node", error.to_string()))?;
    file.log.check().map_err(|error| ("log", error))?;
    Ok(Config {
        kubelet: file.kubelet.check(environment.host_ip.as_deref())?,
        node,
        listen: file.listen,
        admin: file.admin,
        certificate: enrolment::Source::of(file.tls, file.enrolment)?,
        node_helper: file.node_helper,
        journal: file.journal,
        hang_up_grace: Duration::from_secs(file.hang_up_grace_seconds),
        deny: file.deny,
        audit: file.audit,
        sessions: usize::from(file.sessions.get()),
        drain: Duration::from_secs(file.drain_seconds),
        workers: file.workers.unwrap_or_else(workers::default),
        log: file.log,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Config, String> {
        check(parse(yaml)?, Environment::default())
            .map_err(|(key, reason)| format!("{key}: {reason}"))
    }

    #[test]
    fn the_example_is_a_configuration() {
        let config = read(include_str!("../agent.example.yaml")).unwrap();
        assert_eq!(config.node, "node-a");
        assert_eq!(config.kubelet.address, "127.0.0.1:10250");
    }

    #[test]
    fn a_wrong_key_or_value_is_named() {
        let check = |from: &str, to: &str, expect: &str| {
            let yaml = include_str!("../agent.example.yaml").replace(from, to);
            let error = read(&yaml).err().unwrap_or_default();
            assert!(error.contains(expect), "{to:?} gave {error:?}");
        };
        check("\nnode: node-a", "\nnood: node-a", "nood");
        check("\nnode: node-a", "", "node: ");
        check("\nlisten: 0.0.0.0:7443", "\nlisten: nowhere", "listen");
        check(
            "https://127.0.0.1:10250",
            "http://127.0.0.1:10250",
            "kubelet.url: ",
        );
        check(
            "https://127.0.0.1:10250",
            "https://localhost:10250",
            "kubelet.url: ",
        );
        check("  tokenFile:", "  tokenFiel:", "tokenFiel");
        check("  tokenFile:", "  key:", "kubelet.cert: ");
        check("  to: stdout", "  to: log", "audit.to: ");
        check("onFailure: deny", "onFailure: panic", "audit.onFailure");
        check("  labels: {}", "  labels: []", "deny.labels");
        check("sessions: 2000", "sessions: 0", "sessions");
        check("drainSeconds: 30", "drainSeconds: soon", "drainSeconds");
        check("  level: info ", "  level: a=b=c", "log: ");
    }
}
