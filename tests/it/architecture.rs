//! Who may import whom, and where. The tables are the design's arrows, as strict as the code allows
//! today: a new import fails here first, and is then a decision, not an accident.

mod checks;
mod code;
mod imports;
mod rules;
mod source;

use source::workspace;

/// Which of the project's own crates a crate may name, in its sources and in its Cargo.toml.
/// The agent and the frontdoor meet over the wire alone.
pub(crate) const CRATES: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("proto/process", &["podgate_proto"]),
    ("agent", &["podgate_process", "podgate_proto"]),
    ("frontdoor/identity", &["podgate_proto"]),
    (
        "frontdoor/signer",
        &["podgate_identity", "podgate_process", "podgate_proto"],
    ),
    (
        "frontdoor",
        &["podgate_identity", "podgate_process", "podgate_proto"],
    ),
];

/// Where the crates of a protocol may stand, and how much of each: whoever else wants SSH, the API
/// server or gRPC asks the module that has it.
pub(crate) const PLACES: &[(&str, &str)] = &[
    ("frontdoor/src/ssh", "russh"),
    ("frontdoor/src/authn", "russh::keys"),
    // The format of keys and certificates, which `russh::keys` re-exports.
    ("frontdoor/identity/src/strength", "ssh_key"),
    ("frontdoor/signer/src", "ssh_key"),
    // Made once by `ssh`, and handed to every worker.
    ("frontdoor/src/lib", "russh::server::Config"),
    //
    ("frontdoor/identity/src/kubernetes", "kube"),
    ("frontdoor/identity/src/kubernetes", "k8s_openapi"),
    ("frontdoor/src/route", "kube"),
    ("frontdoor/src/route", "k8s_openapi"),
    ("frontdoor/src/authz", "kube"),
    ("frontdoor/src/authz", "k8s_openapi"),
    ("frontdoor/signer/src", "kube"),
    ("frontdoor/signer/src", "k8s_openapi"),
    //
    ("proto", "tonic"),
    ("frontdoor/src/agents", "tonic"),
    ("frontdoor/signer/src", "tonic"),
    // The half of a stream that the pump reads; `agents` has no name of its own for it.
    ("frontdoor/src/ssh/pump", "tonic::Streaming"),
    ("agent/src/listener", "tonic"),
    ("agent/src/service", "tonic"),
    // What a stream of messages ends with.
    ("agent/src/session", "tonic::Status"),
    //
    // An error that nobody matches on is for whoever ends the process.
    ("agent/src/bin", "anyhow"),
];

/// What each module imports of its crate. A module stands above all that it imports, so that there
/// is no cycle among them.
pub(crate) type Modules = &'static [(&'static str, &'static [&'static str])];

const PROTO: Modules = &[("lib", &[]), ("limits", &[])];

const PROCESS: Modules = &[
    ("lib", &[]),
    ("daemon", &["config", "log", "shutdown"]),
    ("audit", &["config", "metrics"]),
    ("metrics", &["enrolment"]),
    ("enrolment", &["config", "mtls"]),
    ("mtls", &["reload"]),
    ("reload", &[]),
    ("admin", &[]),
    ("config", &[]),
    ("descriptors", &[]),
    ("listener", &[]),
    ("log", &[]),
    ("shutdown", &[]),
    ("version", &[]),
    ("workers", &[]),
];

const AGENT: Modules = &[
    ("main", &["lib"]),
    (
        "lib",
        &[
            "listener", "service", "program", "node", "kubelet", "config", "audit", "metrics",
        ],
    ),
    ("listener", &["service", "metrics"]),
    (
        "service",
        &[
            "program", "session", "refusal", "audit", "kubelet", "grant", "metrics",
        ],
    ),
    (
        "program",
        &["session", "node", "kubelet", "grant", "metrics", "ticks"],
    ),
    ("session", &["kubelet", "metrics"]),
    ("node", &[]),
    ("refusal", &["kubelet"]),
    ("config", &["kubelet", "grant"]),
    ("audit", &["grant"]),
    ("kubelet", &["grant", "ticks"]),
    ("ticks", &[]),
    ("grant", &[]),
    ("metrics", &[]),
    ("version", &[]),
];

/// The node helper, a program of its own.
const HELPER_PLACE: &str = "agent/src/bin/node-helper";

const HELPER: Modules = &[
    ("main", &["server", "sandbox", "ticks", "version"]),
    ("server", &["find", "signal", "protocol"]),
    ("find", &["terminal", "processes", "protocol"]),
    ("signal", &["processes", "protocol", "ticks"]),
    ("terminal", &["protocol"]),
    ("processes", &["protocol"]),
    // The agent's `node/protocol.rs` and `ticks.rs`, which both programs compile.
    ("protocol", &[]),
    ("ticks", &[]),
    ("version", &[]),
    ("sandbox", &[]),
];

/// All that the node's one privileged program may import beside std: no TLS, no gRPC, nothing of Kubernetes and
/// no async runtime, nor the agent that has them.
const HELPER_IMPORTS: &[&str] = &[
    "anyhow",
    "clap",
    "libc",
    "procfs",
    "rustix",
    "seccompiler",
    "serde_json",
    "thiserror",
];

const IDENTITY: Modules = &[
    ("lib", &["identity", "names"]),
    ("addresses", &["wildcard"]),
    ("wildcard", &[]),
    ("desk_claims", &["identity"]),
    ("names", &["identity"]),
    ("identity", &[]),
    ("strength", &[]),
    ("kubernetes", &[]),
];

const SIGNER: Modules = &[
    ("main", &["lib"]),
    (
        "lib",
        &["ca", "config", "desk", "enrol", "metrics", "token"],
    ),
    (
        "enrol",
        &["bucket", "ca", "config", "connections", "metrics", "tokens"],
    ),
    ("ca", &["config", "metrics"]),
    ("config", &["desk", "token"]),
    (
        "desk",
        &["bucket", "connections", "metrics", "token", "tokens"],
    ),
    ("tokens", &["token"]),
    ("token", &[]),
    ("connections", &[]),
    ("bucket", &[]),
    ("metrics", &[]),
];

const FRONTDOOR: Modules = &[
    ("main", &["lib"]),
    (
        "lib",
        &[
            "ssh", "agents", "audit", "authn", "authz", "route", "places", "config", "metrics",
        ],
    ),
    (
        "ssh",
        &[
            "agents", "audit", "authn", "authz", "route", "places", "config", "target", "metrics",
        ],
    ),
    // The one arrow between modules of a level: nobody dials a node without a grant.
    ("agents", &["authz"]),
    ("authn", &["config"]),
    ("authz", &["config", "target"]),
    ("route", &["target"]),
    ("audit", &["target"]),
    // All places are as many as the configuration says.
    ("places", &["config"]),
    ("config", &["target"]),
    ("target", &[]),
    ("metrics", &[]),
];

/// Files that compute and do nothing else, so that tests and fuzzers need bytes alone.
pub(crate) const PURE: &[&str] = &[
    "agent/src/kubelet/spdy",
    "agent/src/kubelet/status",
    "agent/src/kubelet/stty",
    "agent/src/kubelet/wrapper",
    "agent/src/node/protocol",
    "frontdoor/identity/src/addresses",
    "frontdoor/identity/src/identity",
    "frontdoor/identity/src/wildcard",
    "frontdoor/src/authn/options",
    "frontdoor/src/ssh/proxy_protocol",
    "frontdoor/src/target",
];

/// All that a pure file may import, but for other pure files.
pub(crate) const PURE_IMPORTS: &[&str] = &[
    "bytes",
    "serde::Deserialize",
    "serde::Serialize",
    "serde_json",
    "shell_words",
    "std::collections::BTreeMap",
    "std::fmt",
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
    "std::str",
    "thiserror",
    // Pure files of the crate of identities.
    "podgate_identity::addresses",
    "podgate_identity::wildcard",
    // Messages as plain data; the client and the server beside them are not.
    "podgate_proto::v1::Exec",
    "podgate_proto::v1::Terminal",
    "podgate_proto::v1::TerminalMode",
    "podgate_proto::v1::TerminalSize",
    "podgate_proto::v1::exec::Program",
];

/// Lines of a `main.rs`, at the most: a program's parts are wired in its `lib.rs`.
pub(crate) const MAIN_LINES: usize = 80;

#[track_caller]
fn hold(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn crates_meet_in_proto_alone() {
    hold(rules::crates(&workspace()));
    for (name, may) in CRATES {
        hold(rules::manifest(name, may, &source::manifest(name)));
    }
}

#[test]
fn each_protocol_has_its_place() {
    hold(rules::places(&workspace()));
}

#[test]
fn modules_import_downwards() {
    hold(rules::modules("proto/src", PROTO, &workspace()));
    hold(rules::modules("proto/process/src", PROCESS, &workspace()));
    hold(rules::modules("agent/src", AGENT, &workspace()));
    hold(rules::modules(HELPER_PLACE, HELPER, &workspace()));
    let identity = "frontdoor/identity/src";
    hold(rules::modules(identity, IDENTITY, &workspace()));
    hold(rules::modules("frontdoor/signer/src", SIGNER, &workspace()));
    hold(rules::modules("frontdoor/src", FRONTDOOR, &workspace()));
}

#[test]
fn pure_files_do_no_io() {
    for name in ["agent", "frontdoor", "frontdoor/identity"] {
        let dependencies = source::dependencies(&source::manifest(name));
        hold(rules::pure(name, &dependencies, &workspace()));
    }
    for place in PURE {
        let there = workspace().iter().any(|source| source.is_in(place));
        assert!(there, "{place} is gone");
    }
}

#[test]
fn the_privileged_program_is_small() {
    let dependencies = source::dependencies(&source::manifest("agent"));
    hold(rules::small(
        HELPER_PLACE,
        HELPER_IMPORTS,
        &dependencies,
        &workspace(),
    ));
}

#[test]
fn files_say_what_they_are_for_and_mains_are_short() {
    hold(rules::heads(&workspace()));
}
