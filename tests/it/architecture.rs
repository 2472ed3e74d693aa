//! Who may import whom, and where. Imports run one way in every package; the tables hold what the
//! design says beyond that, a row a decision.

mod checks;
mod circles;
mod code;
mod manifest;
mod package;
mod rules;
mod scan;
mod source;

use package::{Package, packages};
use rules::OnlyIn;
use source::{Files, workspace};

/// Which of our own packages each may name. The agent and the frontdoor meet over the wire alone.
const CRATES: &[(&str, &[&str])] = &[
    ("podgate_proto", &[]),
    ("podgate_process", &["podgate_proto"]),
    ("podgate_sftp", &[]),
    ("podgate_helper", &[]),
    ("podgate_node_entry", &["podgate_helper"]),
    ("podgate_worker", &["podgate_sftp"]),
    (
        "podgate_agent",
        &[
            "podgate_helper",
            "podgate_node_entry",
            "podgate_process",
            "podgate_proto",
            "podgate_worker",
        ],
    ),
    ("podgate_identity", &["podgate_proto"]),
    (
        "podgate_signer",
        &["podgate_identity", "podgate_process", "podgate_proto"],
    ),
    (
        "podgate_frontdoor",
        &[
            "podgate_identity",
            "podgate_process",
            "podgate_proto",
            "podgate_recording",
            "podgate_sftp",
        ],
    ),
    ("podgate_recording", &[]),
    (
        "podgate_replay",
        &[
            "podgate_identity",
            "podgate_process",
            "podgate_proto",
            "podgate_recording",
        ],
    ),
    ("podgate_tests", &["podgate_node_entry", "podgate_proto"]),
];

/// Where a protocol or a step of a session may be named. All other modules go through the module that
/// has it.
const ONLY_IN: &[OnlyIn] = &[
    OnlyIn {
        what: "russh",
        places: &["frontdoor/src/ssh"],
        why: "SSH is spoken in ssh",
    },
    OnlyIn {
        what: "russh::keys",
        places: &["frontdoor/src/ssh", "frontdoor/src/authn"],
        why: "keys are for who logs in, and who signs",
    },
    OnlyIn {
        what: "ssh_key",
        places: &["frontdoor/identity/src/strength", "frontdoor/signer"],
        why: "the format of keys alone, as russh::keys has it, without an SSH server",
    },
    OnlyIn {
        what: "russh::server::Config",
        places: &["frontdoor/src/ssh"],
        why: "made once by ssh, and handed to every worker",
    },
    OnlyIn {
        what: "kube",
        places: &[
            "frontdoor/identity/src/kubernetes",
            "frontdoor/src/route",
            "frontdoor/src/authz",
            "frontdoor/signer",
        ],
        why: "the API server is asked by route, authz, the signer and the client they share",
    },
    OnlyIn {
        what: "k8s_openapi",
        places: &[
            "frontdoor/identity/src/kubernetes",
            "frontdoor/src/route",
            "frontdoor/src/authz",
            "frontdoor/replay/src/rights",
            "frontdoor/signer",
        ],
        why: "the API server's objects stay where it is asked",
    },
    OnlyIn {
        what: "tonic",
        places: &[
            "proto",
            "frontdoor/src/agents",
            "frontdoor/signer",
            "agent/src/listener",
            "agent/src/service",
        ],
        why: "gRPC ends where the link does",
    },
    OnlyIn {
        what: "tonic::Streaming",
        places: &[
            "agent/src/service",
            "frontdoor/src/agents",
            "frontdoor/src/ssh/agent_messages",
        ],
        why: "what the link's two ends read; agents has no name of its own for it",
    },
    OnlyIn {
        what: "tonic::Status",
        places: &[
            "proto",
            "frontdoor/src/agents",
            "frontdoor/signer",
            "frontdoor/src/ssh/agent_messages",
            "agent/src/answers",
            "agent/src/service",
            "agent/src/session",
        ],
        why: "what a stream of messages ends with",
    },
    OnlyIn {
        what: "anyhow",
        places: &[
            "agent/helper/src/main",
            "agent/entry/src/starter/server",
            "agent/entry/src/front/server",
        ],
        why: "an error that nobody matches on is for whoever ends the process",
    },
    OnlyIn {
        what: "podgate_proto::v1::Grant",
        places: &["frontdoor/src/authz", "agent/src/grant"],
        why: "only authz makes a grant, and the agent's grant checks it",
    },
    OnlyIn {
        what: "agent/src/runtime",
        places: &[
            "agent/src/program",
            "agent/src/forward",
            "agent/src/refusal",
            "agent/src/files/worker",
            "agent/src/core",
        ],
        why: "a session moves bytes, of whatever runs",
    },
    OnlyIn {
        what: "agent/src/runtime/kubelet",
        places: &[
            "agent/src/lib",
            "agent/src/core",
            "agent/src/config",
            // The kubelet knows what the pods of this node are.
            "agent/src/runtime/direct",
        ],
        why: "only what composes the agent says which runtime it has",
    },
    OnlyIn {
        what: "agent/src/exec",
        places: &["agent/src/runtime/kubelet", "agent/src/shell"],
        why: "SPDY is the kubelet's way",
    },
    OnlyIn {
        what: "agent/src/shell",
        places: &["agent/src/runtime/kubelet", "agent/src/runtime/trace"],
        why: "a wrapper and a script are the kubelet's way",
    },
    OnlyIn {
        what: "frontdoor/src/agents",
        places: &["frontdoor/src/ssh", "frontdoor/src/core"],
        why: "a node is dialled by a session alone",
    },
];

/// Files that compute and do nothing else, so that tests and fuzzers need bytes alone.
const PURE: &[&str] = &[
    "agent/src/command",
    "agent/src/exec/ending",
    "agent/src/exec/spdy",
    "agent/src/exec/status",
    "agent/src/exit",
    "agent/src/forward/resolve/hosts",
    "agent/src/forward/resolve/message",
    "agent/src/forward/resolve/settings",
    "agent/src/shell/leave",
    "agent/src/shell/lone",
    "agent/src/shell/stty",
    "agent/src/shell/wrapper",
    "agent/src/trouble",
    "agent/helper/src/protocol",
    "agent/entry/src/container/config",
    "agent/entry/src/container/failure",
    "agent/entry/src/container/json",
    "agent/entry/src/ids",
    "agent/entry/src/launch",
    "agent/entry/src/protocol",
    "agent/entry/src/reason",
    "agent/entry/src/record",
    "agent/entry/src/report",
    "agent/entry/src/status",
    "agent/worker/src/scp/line",
    "agent/worker/src/scp/pattern",
    "agent/worker/src/sockets",
    "frontdoor/identity/src/addresses",
    "frontdoor/identity/src/identity",
    "frontdoor/identity/src/wildcard",
    "frontdoor/src/authn/options",
    "frontdoor/src/ssh/proxy_protocol",
    "frontdoor/src/ssh/scp",
    "frontdoor/src/login_name",
    "frontdoor/src/pod",
    "proto/src/network",
];

/// All that a pure file may import, but for other pure files.
const PURE_IMPORTS: &[&str] = &[
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
    // Messages as plain data; the client and the server beside them are not.
    "podgate_proto::v1::Exec",
    "podgate_proto::v1::Terminal",
    "podgate_proto::v1::TerminalMode",
    "podgate_proto::v1::TerminalSize",
    "podgate_proto::v1::WorkingDirectory",
    "podgate_proto::v1::exec::Program",
];

/// Programs with a privilege, or in somebody's container: all that each may depend on.
const SMALL: &[(&str, &[&str])] = &[
    (
        "podgate_helper",
        &[
            "anyhow",
            "clap",
            "libc",
            "nix",
            "procfs",
            "rustix",
            "seccompiler",
            "serde",
            "serde_json",
            "thiserror",
        ],
    ),
    (
        "podgate_node_entry",
        &[
            "anyhow",
            "clap",
            "libc",
            "podgate_helper",
            "rustix",
            "seccompiler",
            "serde",
            "serde_json",
            "thiserror",
        ],
    ),
    (
        "podgate_worker",
        &[
            "jiff",
            "libc",
            "podgate_sftp",
            "rustix",
            "seccompiler",
            "thiserror",
        ],
    ),
    ("podgate_sftp", &["bytes", "thiserror"]),
];

/// TLS, gRPC, Kubernetes and async runtimes: too much code for a small program.
const TOO_LARGE: &[&str] = &[
    "aws-lc-rs",
    "h2",
    "hyper",
    "kube",
    "k8s-openapi",
    "openssl",
    "prost",
    "ring",
    "rustls",
    "russh",
    "tokio",
    "tonic",
];

/// Lines of a `main.rs`, at the most: a program's parts are wired in its `lib.rs`.
const MAIN_LINES: usize = 80;

/// The packages that make up the product. In the tests, a case may use what the file around it sets up,
/// and the stand's folders are sorted by what a thing is, not by what it uses.
fn product(files: &Files) -> Vec<Package> {
    let mut packages = packages(files);
    packages.retain(|package| package.manifest.folder != "tests");
    packages
}

#[track_caller]
fn hold(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn files_import_one_way() {
    let packages = packages(&workspace());
    hold(packages.iter().flat_map(circles::files).collect());
}

#[test]
fn modules_import_one_way() {
    let packages = product(&workspace());
    hold(packages.iter().flat_map(circles::modules).collect());
}

#[test]
fn children_take_nothing_from_above() {
    let packages = product(&workspace());
    hold(
        packages
            .iter()
            .flat_map(circles::taken_from_above)
            .collect(),
    );
}

#[test]
fn every_file_is_a_module() {
    let files = workspace();
    hold(rules::strays(&packages(&files), &files));
}

#[test]
fn packages_meet_in_proto_alone() {
    hold(rules::crates(CRATES, &packages(&workspace())));
}

#[test]
fn each_protocol_has_its_place() {
    hold(rules::kept(ONLY_IN, &product(&workspace())));
}

#[test]
fn pure_files_do_no_io() {
    hold(rules::pure(PURE, PURE_IMPORTS, &product(&workspace())));
}

#[test]
fn privileged_programs_are_small() {
    let files = workspace();
    let lock = &files["Cargo.lock"];
    hold(rules::small(SMALL, TOO_LARGE, &packages(&files), lock));
}

#[test]
fn files_say_what_they_are_for_and_mains_are_short() {
    hold(rules::heads(MAIN_LINES, &workspace()));
}
