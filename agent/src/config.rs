//! The agent's configuration: YAML, checked as a whole before anything starts.

mod kubelet;

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use podgate_process::bounds::{self, Bounds};
use podgate_process::config::{Configuration, Error, Invalid, read};
use podgate_process::{admin, audit, enrolment, log, mtls, workers};
use serde::Deserialize;

use crate::grant::Deny;
use crate::program::HangUps;
use crate::quotas::Most;
use crate::rates::TransferRates;

/// A checked configuration. Each field is explained in `agent.example.yaml`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "agent.example.yaml has them")]
pub struct Config {
    pub node: String,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub admin_connections: Bounds,
    /// For connections until their peer has shown that it is a frontdoor.
    pub handshakes: Bounds,
    /// For frontdoors' connections from then on.
    pub links: Bounds,
    pub certificate: enrolment::Source,
    pub kubelet: crate::runtime::kubelet::Config,
    pub node_helper: Option<PathBuf>,
    pub node_entry: Option<PathBuf>,
    pub runtime: Choice,
    pub journal: Option<PathBuf>,
    pub hang_up_grace: Duration,
    pub(crate) hang_ups: HangUps,
    pub deny: Deny,
    pub audit: audit::Config,
    /// How many may run at once.
    pub(crate) sessions: Most,
    /// How many may serve files.
    pub(crate) transfers: Most,
    pub(crate) transfer_rates: TransferRates,
    /// How many may be connections to the pods' ports.
    pub(crate) forwards: Most,
    /// How many may listen in pods.
    pub(crate) listeners: Most,
    /// How many requests for a session may wait to become one.
    pub openings: usize,
    pub journal_bytes: u64,
    pub drain: Duration,
    pub workers: usize,
    pub log: log::Config,
}

/// How programs are started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// Directly where the node entry can, else by the kubelet.
    #[default]
    Auto,
    /// By the node entry alone.
    Direct,
    /// By the kubelet alone.
    Kubelet,
}

/// The default for `handshakes`. A frontdoor makes two connections for each of its 16 threads, all at once to an agent
/// that has started again.
const HANDSHAKES: Bounds = Bounds {
    total: 256,
    per_address: 64,
    per_second_and_address: 20,
    seconds: 5,
};

/// The default for `links`. A frontdoor makes two for each of its threads, and others as certificates and
/// links grow old; those before last as long as their sessions.
const LINKS: Bounds = Bounds {
    total: 4096,
    per_address: 2048,
    per_second_and_address: 20,
    seconds: 3600,
};

/// The defaults of one user's limits.
const SESSIONS_PER_USER: u16 = 1000;
const TRANSFERS_PER_USER: u16 = 100;
const FORWARDS_PER_USER: u16 = 2000;
const LISTENERS_PER_USER: u16 = 200;

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
    /// Reads this process's environment.
    fn read() -> Self {
        Self {
            node_name: std::env::var("NODE_NAME").ok(),
            host_ip: std::env::var("HOST_IP").ok(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    node: Option<String>,
    #[serde(default = "default_listen")]
    listen: SocketAddr,
    #[serde(default = "default_admin")]
    admin: SocketAddr,
    #[serde(default)]
    admin_connections: bounds::File,
    #[serde(default)]
    handshakes: bounds::File,
    #[serde(default)]
    links: bounds::File,
    tls: Option<mtls::Files>,
    enrolment: Option<enrolment::Config>,
    kubelet: kubelet::File,
    node_helper: Option<PathBuf>,
    node_entry: Option<PathBuf>,
    #[serde(default)]
    runtime: Choice,
    journal: Option<PathBuf>,
    #[serde(default = "default_journal")]
    journal_bytes: NonZeroU64,
    #[serde(default = "default_grace")]
    hang_up_grace_seconds: u64,
    #[serde(default)]
    hang_ups: HangUps,
    #[serde(default)]
    deny: Deny,
    #[serde(default)]
    audit: audit::File,
    #[serde(default = "default_sessions")]
    sessions: NonZeroU16,
    #[serde(default = "default_openings")]
    openings: NonZeroU16,
    sessions_per_user: Option<NonZeroU16>,
    #[serde(default = "default_transfers")]
    transfers: NonZeroU16,
    transfers_per_user: Option<NonZeroU16>,
    #[serde(default)]
    transfer_rates: TransferRates,
    #[serde(default = "default_forwards")]
    forwards: NonZeroU16,
    forwards_per_user: Option<NonZeroU16>,
    #[serde(default = "default_listeners")]
    listeners: NonZeroU16,
    listeners_per_user: Option<NonZeroU16>,
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

fn default_transfers() -> NonZeroU16 {
    const { NonZeroU16::new(500).expect("it is not 0") }
}

fn default_forwards() -> NonZeroU16 {
    const { NonZeroU16::new(4000).expect("it is not 0") }
}

fn default_listeners() -> NonZeroU16 {
    const { NonZeroU16::new(500).expect("it is not 0") }
}

fn default_openings() -> NonZeroU16 {
    const { NonZeroU16::new(256).expect("it is not 0") }
}

fn default_journal() -> NonZeroU64 {
    const { NonZeroU64::new(64 * 1024 * 1024).expect("it is not 0") }
}

fn default_drain() -> u64 {
    30
}

impl Configuration for Config {
    fn read(path: &Path) -> Result<Self, Error> {
        read(path, |file| check(file, Environment::read()))
    }

    fn log(&self) -> &log::Config {
        &self.log
    }
}

fn check(file: File, environment: Environment) -> Result<Config, Invalid> {
    let node = file.node.or(environment.node_name).unwrap_or_default();
    if node.is_empty() {
        return Err(Invalid::new(
            "node",
            "is absent, and so is the environment's NODE_NAME",
        ));
    }
    mtls::agent_name(&node).map_err(|error| Invalid::new("node", error.to_string()))?;
    if file.runtime == Choice::Direct && file.node_entry.is_none() {
        return Err(Invalid::new("runtime", "direct needs nodeEntry"));
    }
    file.log
        .check()
        .map_err(|error| Invalid::new("log", error))?;
    Ok(Config {
        kubelet: file.kubelet.check(environment.host_ip.as_deref())?,
        node,
        listen: file.listen,
        admin: file.admin,
        admin_connections: file.admin_connections.or(admin::BOUNDS),
        handshakes: file.handshakes.or(HANDSHAKES),
        links: file.links.or(LINKS),
        certificate: enrolment::Source::of(file.tls, file.enrolment)?,
        node_helper: file.node_helper,
        node_entry: file.node_entry,
        runtime: file.runtime,
        journal: file.journal,
        hang_up_grace: Duration::from_secs(file.hang_up_grace_seconds),
        hang_ups: file.hang_ups,
        deny: file.deny,
        audit: file.audit.check()?,
        sessions: most(
            file.sessions,
            (file.sessions_per_user, SESSIONS_PER_USER),
            "sessionsPerUser",
        )?,
        transfers: most(
            file.transfers,
            (file.transfers_per_user, TRANSFERS_PER_USER),
            "transfersPerUser",
        )?,
        transfer_rates: file.transfer_rates,
        forwards: most(
            file.forwards,
            (file.forwards_per_user, FORWARDS_PER_USER),
            "forwardsPerUser",
        )?,
        listeners: most(
            file.listeners,
            (file.listeners_per_user, LISTENERS_PER_USER),
            "listenersPerUser",
        )?,
        openings: usize::from(file.openings.get()),
        journal_bytes: file.journal_bytes.get(),
        drain: Duration::from_secs(file.drain_seconds),
        workers: file.workers.unwrap_or_else(workers::default),
        log: file.log,
    })
}

/// The limits of a node and of one user, who must not be able to take the whole node. If `key` is absent,
/// a user has the default, and at most half of the node. A limit of 1 cannot be shared.
fn most(
    all: NonZeroU16,
    (given, default): (Option<NonZeroU16>, u16),
    key: &'static str,
) -> Result<Most, Invalid> {
    let all = all.get();
    let share = if all == 1 {
        default
    } else {
        default.min(all / 2)
    };
    let of_a_user = given.map_or(share, NonZeroU16::get);
    if all > 1 && of_a_user >= all {
        let why =
            format!("must be below {all}, the limit of the node: else one user can take it all");
        return Err(Invalid::new(key, why));
    }
    Ok(Most {
        all: all.into(),
        of_a_user: of_a_user.into(),
    })
}

#[cfg(test)]
mod tests {
    use podgate_process::config::parse;

    use super::*;

    fn read(yaml: &str) -> Result<Config, String> {
        check(parse(yaml)?, Environment::default()).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn the_example_is_a_configuration() {
        let config = read(include_str!("../agent.example.yaml")).unwrap();
        assert_eq!(config.node, "node-a");
        assert_eq!(config.kubelet.address, "127.0.0.1:10250");
        assert_eq!(config.hang_ups, HangUps::default());
    }

    #[test]
    fn a_user_has_half_of_a_small_node() {
        let check = |sessions: u16, of_a_user: usize| {
            let yaml = include_str!("../agent.example.yaml")
                .replace("sessions: 2000", &format!("sessions: {sessions}"))
                .replace("\nsessionsPerUser: 1000", "");
            assert_eq!(read(&yaml).unwrap().sessions.of_a_user, of_a_user);
        };
        check(5000, 1000);
        check(400, 200);
        check(3, 1);
        check(1, 1000);
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
        check("openings: 256", "openings: 0", "openings");
        check("perContainer: 4", "perContainer: 0", "hangUps");
        check("perContainer: 4", "perPod: 4", "perPod");
        check("\nruntime: auto", "\nruntime: shim", "runtime");
        check("\nruntime: auto", "\nruntime: direct", "nodeEntry");
        check("journalBytes: ", "journalBytes: -", "journalBytes");
        check("handshakes: {total", "handshakes: {most", "most");
        check("links: {total", "links: {most", "most");
        check(
            "sessionsPerUser: 1000",
            "sessionsPerUser: 0",
            "sessionsPerUser",
        );
        check("sessions: 2000", "sessions: 1000", "sessionsPerUser: ");
        check("transfers: 500", "transfers: 0", "transfers");
        check("transfers: 500", "transfers: 50", "transfersPerUser: ");
        check("forwards: 4000", "forwards: 2000", "forwardsPerUser: ");
        check("forwards: 4000", "forwards: 0", "forwards");
        check("listeners: 500", "listeners: 200", "listenersPerUser: ");
        check("listeners: 500", "listeners: 0", "listeners");
        check("forwardsPerUser: 2000", "forwardsPerUser: 0", "PerUser");
        check("transfersPerUser: 100", "transfersPerUser: 0", "PerUser");
        check("    perUser: 100000000", "    perUser: 0", "transferRates");
        check("drainSeconds: 30", "drainSeconds: soon", "drainSeconds");
        check("  level: info ", "  level: a=b=c", "log: ");
    }
}
