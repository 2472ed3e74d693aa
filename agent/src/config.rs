//! The agent's configuration: YAML, checked as a whole before anything starts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podgate_proto::mtls;
use rustls::pki_types::ServerName;
use serde::Deserialize;

use crate::grant::Deny;
use crate::{audit, kubelet, telemetry, workers};

/// A checked configuration. Each field is explained in `agent.example.yaml`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "agent.example.yaml has them")]
pub struct Config {
    pub node: String,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub tls: mtls::Files,
    pub kubelet: kubelet::Config,
    pub node_helper: Option<PathBuf>,
    pub journal: Option<PathBuf>,
    pub hang_up_grace: Duration,
    pub deny: Deny,
    pub audit: audit::Config,
    pub drain: Duration,
    pub workers: usize,
    pub log: telemetry::Config,
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
    tls: mtls::Files,
    kubelet: KubeletFile,
    node_helper: Option<PathBuf>,
    journal: Option<PathBuf>,
    #[serde(default = "default_grace")]
    hang_up_grace_seconds: u64,
    #[serde(default)]
    deny: Deny,
    #[serde(default)]
    audit: audit::Config,
    #[serde(default = "default_drain")]
    drain_seconds: u64,
    workers: Option<usize>,
    #[serde(default)]
    log: telemetry::Config,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KubeletFile {
    url: String,
    server_name: Option<String>,
    ca: PathBuf,
    token_file: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
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

fn default_drain() -> u64 {
    30
}

impl Config {
    /// Reads and checks a file; `node_name` is the environment's NODE_NAME.
    pub fn read(path: &Path, node_name: Option<String>) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let file = parse(&text).map_err(|reason| Error::Yaml {
            path: path.to_owned(),
            reason,
        })?;
        check(file, node_name).map_err(|(key, reason)| Error::Value {
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

fn check(file: File, node_name: Option<String>) -> Result<Config, (&'static str, String)> {
    let node = file.node.or(node_name).unwrap_or_default();
    if node.is_empty() {
        return Err((
            "node",
            "is absent, and so is the environment's NODE_NAME".into(),
        ));
    }
    mtls::agent_name(&node).map_err(|error| ("node", error.to_string()))?;
    file.log.filter().map_err(|error| ("log", error))?;
    Ok(Config {
        kubelet: check_kubelet(file.kubelet)?,
        node,
        listen: file.listen,
        admin: file.admin,
        tls: file.tls,
        node_helper: file.node_helper,
        journal: file.journal,
        hang_up_grace: Duration::from_secs(file.hang_up_grace_seconds),
        deny: file.deny,
        audit: file.audit,
        drain: Duration::from_secs(file.drain_seconds),
        workers: file.workers.unwrap_or_else(workers::default),
        log: file.log,
    })
}

fn check_kubelet(file: KubeletFile) -> Result<kubelet::Config, (&'static str, String)> {
    let bad = |reason: &str| ("kubelet.url", format!("{:?} {reason}", file.url));
    let url: http::Uri = file.url.parse().map_err(|_| bad("is no URL"))?;
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    if url.scheme_str() != Some("https") || host.is_empty() {
        return Err(bad("is no https:// URL"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err(bad("has a path"));
    }
    // Static binaries have no name resolution to rely on, and the kubelet is on this very node.
    let address = host
        .parse()
        .map_err(|_| bad("must have an IP address for its host"))?;
    let address = SocketAddr::new(address, url.port_u16().unwrap_or(10250)).to_string();
    let name = file.server_name.unwrap_or_else(|| host.to_owned());
    let server_name = ServerName::try_from(name.clone()).map_err(|_| {
        (
            "kubelet.serverName",
            format!("{name:?} is neither a DNS name nor an IP"),
        )
    })?;
    let client = match (file.cert, file.key) {
        (Some(cert), Some(key)) => Some(kubelet::ClientFiles { cert, key }),
        (None, None) => None,
        (Some(_), None) => return Err(("kubelet.key", "is absent, but cert is given".into())),
        (None, Some(_)) => return Err(("kubelet.cert", "is absent, but key is given".into())),
    };
    if client.is_none() && file.token_file.is_none() {
        return Err(("kubelet", "needs tokenFile, or cert and key".into()));
    }
    Ok(kubelet::Config {
        address,
        server_name,
        ca: file.ca,
        token_file: file.token_file,
        client,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Config, String> {
        check(parse(yaml)?, None).map_err(|(key, reason)| format!("{key}: {reason}"))
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
        check("drainSeconds: 30", "drainSeconds: soon", "drainSeconds");
        check("  level: info,russh=error", "  level: a=b=c", "log: ");
    }
}
