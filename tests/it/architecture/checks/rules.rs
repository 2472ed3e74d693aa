//! The other rules can fail.

use super::workspace::{files, read};
use crate::architecture::manifest::built_with;
use crate::architecture::rules::{self, OnlyIn};

/// Whether so many lines are found.
#[track_caller]
fn count(found: &[String], breaches: usize, of: &str) {
    assert_eq!(found.len(), breaches, "{of}: {found:?}");
}

#[test]
fn packages_can_be_breached() {
    const TABLE: &[(&str, &[&str])] = &[("podgate_agent", &["podgate_proto"])];
    let check = |dependencies: &str, text: &str, breaches: usize| {
        let manifest = format!(
            "[package]\nname = \"podgate-agent\"\n\n[dependencies]\n{dependencies}\n\
             [dev-dependencies]\ntempfile = \"3\" # podgate-x = 1"
        );
        let texts = [
            ("agent/Cargo.toml", &*manifest),
            ("agent/src/lib.rs", text),
            ("agent/src/main.rs", "use podgate_agent::Agent;"),
        ];
        let found = rules::crates(TABLE, &read(&texts));
        count(&found, breaches, &format!("{dependencies} {text}"));
    };
    let proto = "podgate-proto.workspace = true";
    check(proto, "use podgate_proto::{limits, v1};", 0);
    check(
        proto,
        "use {\n std::io,\n podgate_frontdoor::target,\n};",
        1,
    );
    check(proto, "fn f() -> podgate_frontdoor::Frontdoor {}", 1);
    check(proto, "use podgate_frontdoor as other;", 1);
    check(proto, "use podgate_proto as proto; proto::f()", 0);
    check(
        &format!("{proto}\npodgate-frontdoor = {{ path = \"x\" }}"),
        "",
        1,
    );
    check(
        &format!("{proto}\nother = {{ package = \"podgate-frontdoor\", path = \"x\" }}"),
        "",
        1,
    );
    check(
        &format!("{proto}\n[dependencies.podgate-x]\npath = \"x\""),
        "",
        1,
    );
    // A row may not allow more than what is there.
    check("", "", 1);
    let found = rules::crates(TABLE, &read(&[("other/src/lib.rs", "")]));
    count(
        &found,
        2,
        "a package without a row, a row without a package",
    );
}

#[test]
fn places_can_be_breached() {
    const TABLE: &[OnlyIn] = &[
        OnlyIn {
            what: "russh",
            places: &["frontdoor/src/ssh"],
            why: "",
        },
        OnlyIn {
            what: "russh::keys",
            places: &["frontdoor/src/authn"],
            why: "",
        },
        OnlyIn {
            what: "frontdoor/src/agents",
            places: &["frontdoor/src/ssh"],
            why: "",
        },
    ];
    let check = |path: &str, text: &str, breaches: usize| {
        let texts = [
            (
                "frontdoor/src/lib.rs",
                "mod ssh; mod sshd; mod authn; mod agents;",
            ),
            (
                "frontdoor/src/ssh/mod.rs",
                "mod a; use russh::A; use crate::agents::Agents;",
            ),
            ("frontdoor/src/ssh/a.rs", ""),
            ("frontdoor/src/sshd.rs", ""),
            ("frontdoor/src/authn.rs", "use russh::keys::Key;"),
            ("frontdoor/src/agents.rs", "mod b;"),
            ("frontdoor/src/agents/b.rs", ""),
            (path, text),
        ];
        let found = rules::kept(TABLE, &read(&texts));
        count(&found, breaches, &format!("{path}: {text}"));
    };
    let [a, sshd] = ["frontdoor/src/ssh/a.rs", "frontdoor/src/sshd.rs"];
    let authn = "frontdoor/src/authn.rs";
    check(a, "use russh::server::Msg;", 0);
    check(sshd, "use russh::server::Msg;", 1);
    check(sshd, "#[russh::handler]", 1);
    check(sshd, "use russh as r;\nr::f()", 2);
    check(authn, "use russh::keys::{Algorithm, HashAlg};", 0);
    check(
        authn,
        "use russh::{\n    keys::Algorithm,\n    server::Msg,\n};",
        1,
    );
    check(authn, "use russh::{self, keys}; keys::A; russh::B", 2);
    // Then the narrower row is not in use, either.
    check(authn, "use russh::*;", 2);
    check(a, "use russh::keys::Key;", 1);
    check(a, "use crate::agents; agents::dial()", 0);
    check(sshd, "use crate::agents; agents::dial()", 1);
    check("frontdoor/src/agents/b.rs", "use super::Dial;", 0);
    check("frontdoor/src/ssh/mod.rs", "use crate::agents::Agents;", 1);
}

#[test]
fn pure_files_can_be_breached() {
    let manifest = "[package]\nname = \"podgate-agent\"\n[dependencies]\nbytes.workspace = true\n\
                    tokio = \"1\"\n[dev-dependencies]\ntracing-x = { version = \"1\" }";
    let check = |text: &str, breaches: usize| {
        let texts = [
            ("agent/Cargo.toml", manifest),
            ("agent/src/lib.rs", "mod spdy; mod status; mod dial;"),
            ("agent/src/spdy/mod.rs", "mod a; mod frame;"),
            ("agent/src/spdy/a.rs", text),
            ("agent/src/spdy/frame.rs", ""),
            ("agent/src/status.rs", ""),
            ("agent/src/dial.rs", ""),
        ];
        let places = ["agent/src/spdy", "agent/src/status"];
        let may = ["bytes", "std::net::IpAddr"];
        count(&rules::pure(&places, &may, &read(&texts)), breaches, text);
    };
    check(
        "use bytes::{Buf, Bytes}; use super::frame; u32::from(x); frame::f()",
        0,
    );
    check("fn f(_: std::net::IpAddr) {}", 0);
    check("use std::net::IpAddr; IpAddr::f()", 0);
    check("use std::{\n    net::{IpAddr, TcpStream},\n    fs,\n};", 2);
    check("use std::*;", 1);
    check("fn f() { tokio::spawn(g()); tracing_x::info!(\"h\") }", 2);
    check("use super::super::dial::Dialer; use crate::Agent;", 2);
    check("use crate::dial; dial::f()", 1);
    check("use crate::status::Exit;", 0);

    let check = |text: &str, breaches: usize| {
        let manifest = "[package]\nname = \"podgate-agent\"\n[dependencies]\npodgate-helper = 1";
        let texts = [
            ("agent/Cargo.toml", manifest),
            ("agent/src/lib.rs", "mod a;"),
            ("agent/src/a.rs", text),
            (
                "helper/src/lib.rs",
                "pub mod b; mod c; pub use b::B; pub use c::C;",
            ),
            ("helper/src/b.rs", ""),
            ("helper/src/c.rs", ""),
        ];
        let places = ["agent/src/a", "helper/src/b"];
        count(&rules::pure(&places, &[], &read(&texts)), breaches, text);
    };
    check("use podgate_helper::{B, b}; b::f()", 0);
    check("use podgate_helper::C;", 1);
    check("use podgate_helper::D;", 1);

    let texts = [("agent/src/lib.rs", "mod a;"), ("agent/src/a.rs", "")];
    let places = ["agent/src/a", "agent/src/b"];
    count(&rules::pure(&places, &[], &read(&texts)), 1, "b is gone");
}

#[test]
fn small_programs_can_be_breached() {
    let lock = r#"
[[package]]
name = "podgate-helper"
version = "0.1.0"
dependencies = [
 "rustix",
 "thiserror 2.0.1",
]

[[package]]
name = "rustix"
version = "1.0.0"
dependencies = [
 "libc",
]

[[package]]
name = "other"
dependencies = [
 "tokio",
]
"#;
    let with: Vec<_> = built_with(lock, "podgate-helper").into_iter().collect();
    assert_eq!(with, ["libc", "rustix", "thiserror"]);

    let check = |dependencies: &str, banned: &[&str], breaches: usize| {
        let manifest =
            format!("[package]\nname = \"podgate-helper\"\n[dependencies]\n{dependencies}");
        let texts = [
            ("helper/Cargo.toml", &*manifest),
            ("helper/src/main.rs", ""),
        ];
        let table: &[(&str, &[&str])] = &[("podgate_helper", &["rustix"])];
        let found = rules::small(table, banned, &read(&texts), lock);
        count(&found, breaches, dependencies);
        let found = rules::small(&[("podgate_entry", &[])], banned, &read(&texts), lock);
        count(&found, 1, "gone");
    };
    check("rustix = 1", &["tokio", "other"], 0);
    check("rustix = 1", &["tokio", "libc"], 1);
    check("rustix = 1\ntokio = 1", &[], 1);
    check("", &[], 1);
}

#[test]
fn strays_are_found() {
    let check = |lib: &str, more: &str, breaches: usize| {
        let texts = [("agent/src/lib.rs", lib), (more, "")];
        let files = files(&texts);
        let packages = read(&texts);
        count(&rules::strays(&packages, &files), breaches, lib);
    };
    check("mod a;", "agent/src/a.rs", 0);
    check("mod a;", "agent/src/a/mod.rs", 0);
    check("mod a;", "agent/src/main.rs", 1);
    check("", "agent/src/a.rs", 1);
    check("", "agent/src/a/tests.rs", 0);
    check("", "agent/src/a/tests/b.rs", 0);
    check("", "agent/build.rs", 0);
    check("", "agent/fuzz/a.rs", 1);
    check("#[path = \"b.rs\"]\nmod a;", "agent/src/b.rs", 2);
}

#[test]
fn heads_can_be_breached() {
    let check = |path: &str, text: &str, breaches: usize| {
        let found = rules::heads(80, &files(&[(path, text)]));
        count(&found, breaches, &format!("{path}: {text}"));
    };
    check("tests/src/a.rs", "//! What it is for.\n", 0);
    check("tests/src/a.rs", "// What it is for.\n", 1);
    check("tests/src/a.rs", "\n//! What it is for.\n", 1);
    let long = "//!\n".repeat(81);
    check("agent/src/main.rs", &long, 1);
    check("agent/src/lib.rs", &long, 0);
    check("agent/src/main.rs", &long[4..], 0);
}
