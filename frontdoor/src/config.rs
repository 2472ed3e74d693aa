//! The frontdoor's configuration: YAML, checked as a whole before anything starts.

mod authn;
mod authorization;
mod cluster;
mod forwards;
mod hostkeys;
mod limits;
mod recordings;
mod rules;
mod working_directory;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podgate_identity::addresses::Addresses;
use podgate_identity::kubernetes::Reference;
use podgate_identity::wildcard::matches;
use podgate_process::bounds::{self, Bounds};
use podgate_process::config::{Configuration, Error, Invalid, read};
use podgate_process::{admin, audit, enrolment, log, mtls, workers};
use podgate_proto::v1::WorkingDirectory;
use serde::Deserialize;

pub use authn::{Authn, Certificates, OnFailure, UserFrom};
pub use authorization::Authorization;
pub use cluster::ClusterBounds;
pub use forwards::{Forwards, GatewayPorts};
pub use hostkeys::HostKeys;
pub use limits::Limits;
pub use recordings::{Keep, Page, RecordingRule, Recordings};
pub use rules::{Rule, Selectors, What};

use crate::login_name;

/// A checked configuration. Each field is explained in `frontdoor.example.yaml`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Config {
    pub listen: SocketAddr,
    /// Proxies, whose connections begin with a PROXY header. No other connection does.
    pub proxies: Option<Addresses>,
    pub admin: SocketAddr,
    pub admin_connections: Bounds,
    pub host_keys: HostKeys,
    pub host_certificates: Vec<PathBuf>,
    pub certificate: enrolment::Source,
    pub kubeconfig: Option<PathBuf>,
    pub agents: Agents,
    pub authn: Authn,
    /// How often logins and rights are checked again.
    pub recheck: Duration,
    pub sessions: Sessions,
    pub forwards: Forwards,
    pub greetings: Greetings,
    pub limits: Limits,
    pub cluster: ClusterBounds,
    pub authorization: Authorization,
    pub rules: Vec<Rule>,
    pub audit: audit::Config,
    pub recordings: Option<Recordings>,
    pub watch_pods: bool,
    pub drain: Duration,
    pub workers: usize,
    pub log: log::Config,
}

/// Where agents are dialled.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Agents {
    #[serde(default = "default_agents_port")]
    pub port: u16,
    /// The agents' own pods, whose addresses are dialled. Without this, the nodes' addresses are.
    pub pods: Option<AgentPods>,
}

/// The agents' pods.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct AgentPods {
    pub namespace: String,
    pub selector: String,
}

/// The settings of each session.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Sessions {
    pub default_namespace: String,
    pub jump_suffix: String,
    pub accept_env: Vec<String>,
    pub login_shell: bool,
    pub working_directory: WorkingDirectory,
    pub file_sha256: bool,
}

/// Files with what users read when they come.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Greetings {
    pub banner: Option<PathBuf>,
    pub motd: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    #[serde(default = "default_listen")]
    listen: SocketAddr,
    #[serde(default = "admin::address")]
    admin: SocketAddr,
    #[serde(default)]
    admin_connections: bounds::File,
    #[serde(default)]
    host_keys: Vec<PathBuf>,
    host_keys_secret: Option<Reference>,
    #[serde(default)]
    host_certificates: Vec<PathBuf>,
    tls: Option<mtls::Files>,
    enrolment: Option<enrolment::Config>,
    kubeconfig: Option<PathBuf>,
    #[serde(default)]
    agents: Agents,
    users: Option<PathBuf>,
    #[serde(default)]
    authn: authn::File,
    #[serde(default = "default_recheck")]
    recheck_seconds: u32,
    #[serde(default = "default_namespace")]
    default_namespace: String,
    proxy_protocol: Option<ProxyProtocolFile>,
    #[serde(default)]
    jump: JumpFile,
    #[serde(default = "default_accept_env")]
    accept_env: Vec<String>,
    #[serde(default)]
    login_shell: bool,
    banner: Option<PathBuf>,
    motd: Option<PathBuf>,
    #[serde(default)]
    working_directory: working_directory::Folder,
    #[serde(default)]
    forwards: forwards::File,
    #[serde(default)]
    limits: limits::File,
    #[serde(default)]
    cluster: cluster::File,
    #[serde(default)]
    authorization: authorization::File,
    #[serde(default)]
    rules: Vec<rules::File>,
    #[serde(default)]
    audit: audit::File,
    #[serde(default)]
    file_sha256: bool,
    recordings: Option<recordings::File>,
    #[serde(default = "default_watch")]
    watch_pods: bool,
    #[serde(default = "default_drain")]
    drain_seconds: u64,
    workers: Option<usize>,
    #[serde(default)]
    log: log::Config,
}

impl Default for Agents {
    fn default() -> Self {
        let port = default_agents_port();
        Self { port, pods: None }
    }
}

fn default_agents_port() -> u16 {
    7443
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProxyProtocolFile {
    from: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JumpFile {
    suffix: String,
}

impl Default for JumpFile {
    fn default() -> Self {
        Self {
            suffix: "pod".to_owned(),
        }
    }
}

fn default_listen() -> SocketAddr {
    ([0, 0, 0, 0], 2222).into()
}

fn default_namespace() -> String {
    "default".to_owned()
}

fn default_accept_env() -> Vec<String> {
    ["COLORTERM", "GIT_PROTOCOL", "NO_COLOR"]
        .map(str::to_owned)
        .to_vec()
}

fn default_recheck() -> u32 {
    60
}

fn default_watch() -> bool {
    true
}

fn default_drain() -> u64 {
    30
}

impl Configuration for Config {
    fn read(path: &Path) -> Result<Self, Error> {
        read(path, check)
    }

    fn log(&self) -> &log::Config {
        &self.log
    }
}

fn check(file: File) -> Result<Config, Invalid> {
    if !login_name::is_label(&file.default_namespace) {
        return Err(Invalid::new(
            "defaultNamespace",
            format!("{:?} is not a namespace", file.default_namespace),
        ));
    }
    let suffix = &file.jump.suffix;
    if !suffix.is_empty() && !suffix.split('.').all(login_name::is_label) {
        return Err(Invalid::new(
            "jump.suffix",
            format!("{suffix:?} cannot end a host name"),
        ));
    }
    if let Some(name) = file.accept_env.iter().find(|name| !is_pattern(name)) {
        return Err(Invalid::new(
            "acceptEnv",
            format!("{name:?} is neither a variable name nor a pattern of one"),
        ));
    }
    if file.recheck_seconds == 0 {
        return Err(Invalid::new("recheckSeconds", "must be at least 1"));
    }
    let proxies = file.proxy_protocol.filter(|file| !file.from.is_empty());
    let proxies = proxies.map(|file| Addresses::networks(&file.from.join(",")));
    let proxies = proxies.transpose();
    let proxies = proxies.map_err(|error| Invalid::new("proxyProtocol.from", error.to_string()))?;
    file.log
        .check()
        .map_err(|error| Invalid::new("log", error))?;
    Ok(Config {
        listen: file.listen,
        proxies,
        admin: file.admin,
        admin_connections: file.admin_connections.or(admin::BOUNDS),
        host_keys: HostKeys::of(file.host_keys, file.host_keys_secret)?,
        host_certificates: file.host_certificates,
        certificate: enrolment::Source::of(file.tls, file.enrolment)?,
        kubeconfig: file.kubeconfig,
        agents: file.agents,
        authn: file.authn.check(file.users)?,
        recheck: Duration::from_secs(u64::from(file.recheck_seconds)),
        sessions: Sessions {
            default_namespace: file.default_namespace,
            jump_suffix: file.jump.suffix,
            accept_env: file.accept_env,
            login_shell: file.login_shell,
            working_directory: file.working_directory.into(),
            file_sha256: file.file_sha256,
        },
        greetings: Greetings {
            banner: file.banner,
            motd: file.motd,
        },
        forwards: file.forwards.check()?,
        limits: file.limits.check()?,
        cluster: file.cluster.check()?,
        authorization: file.authorization.check(),
        rules: rules::check(file.rules)?,
        audit: file.audit.check()?,
        recordings: file.recordings.map(recordings::File::check).transpose()?,
        watch_pods: file.watch_pods,
        drain: Duration::from_secs(file.drain_seconds),
        workers: file.workers.unwrap_or_else(workers::default),
        log: file.log,
    })
}

/// Whether a shell could export a variable of this name (POSIX, Base Definitions §8.1).
fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether it could be a variable's name with some of its characters replaced by * and ?.
fn is_pattern(pattern: &str) -> bool {
    is_variable(&pattern.replace(['*', '?'], "_"))
}

impl Sessions {
    /// Whether a client may set this variable to this value. No program can be given a NUL, so a variable
    /// with one is left out.
    pub fn takes(&self, name: &str, value: &str) -> bool {
        self.accepts(name) && !value.contains('\0')
    }

    /// Whether a client may set this variable. TERM comes with a terminal and not this way.
    fn accepts(&self, name: &str) -> bool {
        is_variable(name)
            && (name == "LANG"
                || name.starts_with("LC_")
                || self
                    .accept_env
                    .iter()
                    .any(|accepted| matches(accepted, name)))
    }
}

#[cfg(test)]
mod tests;
