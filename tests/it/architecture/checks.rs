//! The rules themselves, on small made-up sources: each of them can fail.

use super::imports::imports;
use super::rules;
use super::source::{Source, dependencies};
use super::{MAIN_LINES, Modules};

fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn finds_what_a_file_names() {
    let check = |path: &str, text: &str, expect: &[&str]| {
        let found = imports(&source(path, text));
        let found: Vec<_> = found
            .iter()
            .map(|i| format!("{} {}", i.line, i.path))
            .collect();
        assert_eq!(found, expect, "{text}");
    };
    let pump = "frontdoor/src/ssh/pump.rs";
    let group = "use a::{\n    b,\n    c::{self, d as e, *},\n};\npub(crate) use f;";
    check(
        pump,
        group,
        &["1 a::b", "1 a::c", "1 a::c::d", "1 a::c::*", "5 f"],
    );
    check(
        pump,
        "\nlet x: a::B<c::D> = ::e::f(g::h!());",
        &["2 a::B", "2 c::D", "2 e::f", "2 g::h"],
    );
    check(pump, "extern crate kube;", &["1 kube"]);
    check(
        pump,
        "use super::open; use super::super::a; self::b();",
        &["1 crate::ssh::open", "1 crate::a", "1 crate::ssh::pump::b"],
    );
    check(
        pump,
        "use super::*; fn f(_: &crate::a::B) {}",
        &["1 crate::ssh::*", "1 crate::a::B"],
    );
    check(
        "frontdoor/src/ssh/mod.rs",
        "mod pump; use pump::x; use super::a;",
        &["1 crate::ssh::pump::x", "1 crate::a"],
    );
    check(
        "frontdoor/src/lib.rs",
        "mod ssh; ssh::serve();",
        &["1 crate::ssh::serve"],
    );
    check(
        "frontdoor/src/main.rs",
        "use podgate_frontdoor::a;",
        &["1 crate::a"],
    );
    check(
        "agent/src/bin/node-helper.rs",
        "use podgate_agent::a;",
        &["1 crate::a"],
    );
}

#[test]
fn passes_over_words_tests_and_text() {
    let check = |text: &str| {
        let found = imports(&source("frontdoor/src/ssh/pump.rs", text));
        let found: Vec<_> = found.iter().map(|import| &*import.path).collect();
        assert_eq!(found, ["after::all"], "{text}");
    };
    check("// a::b\n/* a::b /* a::b */ a::b */ after::all()");
    check("/// See [`a::b`].\nafter::all()");
    check(r#"f("a::b \" a::b", '"', 'x', '\'', b'"'); after::all()"#);
    check("f(r\"a::b\\\", br#\"a::b \" a::b\"#, r#fn); after::all()");
    check("fn f<'a>(x: &'a str) -> impl Sized + use<'a> { after::all() }");
    check("#[cfg(test)]\nmod tests {\n use a::b; fn f() { a::b() }\n}\nafter::all()");
    check("#[cfg(test)]\n#[path = \"x\"]\nmod tests;\nafter::all()");
    check("#[cfg(test)]\nfn f(_: [u8; 3]) { a::b() }\nafter::all()");
}

#[test]
fn crates_can_be_breached() {
    let check = |path: &str, text: &str, breaches: usize| {
        assert_eq!(
            rules::crates(&[source(path, text)]).len(),
            breaches,
            "{path}: {text}"
        );
    };
    check("agent/src/a.rs", "use podgate_proto::{limits, v1};", 0);
    check(
        "agent/src/a.rs",
        "use {\n    std::io,\n    podgate_frontdoor::target,\n};",
        1,
    );
    check(
        "frontdoor/src/ssh/a.rs",
        "fn f() -> podgate_agent::Agent {}",
        1,
    );
    check("proto/src/a.rs", "use podgate_agent as other;", 1);
    check("agent/src/main.rs", "use podgate_agent::Agent;", 0);
    check("agent/src/a/tests.rs", "use podgate_frontdoor::target;", 0);
    check("tests/it/a.rs", "use podgate_frontdoor::target;", 0);

    let check = |line: &str, breaches: usize| {
        let text = format!("[package]\nname = \"podgate-agent\"\n\n[dependencies]\n{line}\n");
        assert_eq!(
            rules::manifest("agent", &["podgate_proto"], &text).len(),
            breaches,
            "{line}"
        );
    };
    check("podgate-proto.workspace = true", 0);
    check("podgate-frontdoor.workspace = true", 1);
    check(
        "other = { package = \"podgate-frontdoor\", path = \"../frontdoor\" }",
        1,
    );
}

#[test]
fn places_can_be_breached() {
    let check = |path: &str, text: &str, breaches: usize| {
        assert_eq!(
            rules::places(&[source(path, text)]).len(),
            breaches,
            "{path}: {text}"
        );
    };
    check("frontdoor/src/ssh/a.rs", "use russh::server::Msg;", 0);
    check("frontdoor/src/sshd.rs", "use russh::server::Msg;", 1);
    check(
        "frontdoor/src/authn/a.rs",
        "use russh::keys::{Algorithm, HashAlg};",
        0,
    );
    check(
        "frontdoor/src/authn/a.rs",
        "use russh::{\n    keys::Algorithm,\n    server::Msg,\n};",
        1,
    );
    check("frontdoor/src/authn/a.rs", "use russh::*;", 1);
    check("frontdoor/src/a.rs", "fn f(_: kube::Client) {}", 1);
    check("frontdoor/src/authz.rs", "fn f(_: kube::Client) {}", 0);
    check(
        "frontdoor/src/authz/review.rs",
        "fn f(_: kube::Client) {}",
        0,
    );
    check(
        "frontdoor/src/ssh/pump.rs",
        "fn f(_: tonic::Streaming<()>) {}",
        0,
    );
    check("frontdoor/src/ssh/pump.rs", "use tonic::Status;", 1);
    check("agent/src/exec/mod.rs", "#[tonic::async_trait]", 1);
    check(
        "agent/src/runtime/kubelet/mod.rs",
        "use anyhow::Context as _;",
        1,
    );
}

#[test]
fn modules_can_be_breached() {
    const TABLE: Modules = &[("lib", &["a"]), ("a", &["b"]), ("b", &[])];
    let check = |a: &str, b: &str, expect: &str| {
        let lib = source("agent/src/lib.rs", "mod a; mod b; use a::A;");
        let sources = [
            lib,
            source("agent/src/a/x.rs", a),
            source("agent/src/b.rs", b),
        ];
        assert_eq!(
            rules::modules("agent/src", TABLE, &sources).join("\n"),
            expect,
            "{a} {b}"
        );
    };
    check("use crate::b;", "", "");
    check("use super::super::b::{self, B}; use super::y;", "", "");
    check(
        "use crate::b;",
        "crate::a::f()",
        "agent/src/b.rs:1: crate::a::f: b may not import a",
    );
    check(
        "use crate::{\n    b,\n    Error,\n};",
        "",
        "agent/src/a/x.rs:1: crate::Error: a may not import lib",
    );
    check(
        "use crate::b;",
        "use super::*;",
        "agent/src/b.rs:1: crate::*: b may not import lib",
    );
    check("", "", "agent/src: a does not import b: shorten the table");

    let check = |table: Modules, expect: &str| {
        let sources = [
            source("agent/src/a.rs", "use crate::b;"),
            source("agent/src/b.rs", ""),
        ];
        assert_eq!(
            rules::modules("agent/src", table, &sources).join("\n"),
            expect,
            "{table:?}"
        );
    };
    check(&[("a", &["b"]), ("b", &[])], "");
    check(
        &[("b", &[]), ("a", &["b"])],
        "agent/src: a stands below b, which it imports",
    );
    check(
        &[("a", &["b"]), ("b", &[]), ("c", &[])],
        "agent/src: c is gone: shorten the table",
    );
    let alone = "agent/src: a stands below b, which it imports";
    check(
        &[("a", &["b"])],
        &format!("agent/src: b: not in the table\n{alone}"),
    );
}

#[test]
fn pure_files_can_be_breached() {
    let manifest = "[dependencies]\nbytes.workspace = true\ntokio = \"1\"\n[x]\nhttp = 1\n\n\
        [dev-dependencies]\ntracing-x = { version = \"1\" }";
    let dependencies = dependencies(manifest);
    assert_eq!(dependencies, ["bytes", "tokio", "tracing_x"]);
    let check = |text: &str, breaches: usize| {
        let sources = [source("agent/src/exec/spdy/a.rs", text)];
        let found = rules::pure("agent", &dependencies, &sources);
        assert_eq!(found.len(), breaches, "{text}: {found:?}");
    };
    check(
        "use bytes::{Buf, Bytes}; use super::frame; u32::from(x); frame::f()",
        0,
    );
    check("fn f(_: std::net::IpAddr) {}", 0);
    check("use std::{\n    net::{IpAddr, TcpStream},\n    fs,\n};", 2);
    check("use std::io::{self, Read};", 2);
    check("use std::*;", 1);
    check("fn f() { tokio::spawn(g()); tracing_x::info!(\"h\") }", 2);
    check("use super::super::dial::Dialer; use crate::grant;", 2);
    check("use super::super::status::Exit;", 0);
}

#[test]
fn heads_can_be_breached() {
    let check = |path: &str, text: &str, breaches: usize| {
        assert_eq!(
            rules::heads(&[source(path, text)]).len(),
            breaches,
            "{path}: {text}"
        );
    };
    check("tests/src/a.rs", "//! What it is for.\n", 0);
    check("tests/src/a.rs", "// What it is for.\n", 1);
    check("tests/src/a.rs", "\n//! What it is for.\n", 1);
    let long = "//!\n".repeat(MAIN_LINES + 1);
    check("agent/src/main.rs", &long, 1);
    check("agent/src/lib.rs", &long, 0);
    check("agent/src/main.rs", &long[4..], 0);
}

#[test]
fn a_small_program_can_be_breached() {
    let place = "agent/src/bin/node-helper";
    let check = |file: &str, text: &str, expect: &str| {
        let sources = [source(&format!("{place}/{file}"), text)];
        let dependencies = ["rustix", "rustls", "tokio"].map(str::to_owned);
        let found = rules::small(place, &["rustix"], &dependencies, &sources).join("\n");
        assert!(
            found.contains(expect) && found.is_empty() == expect.is_empty(),
            "{text} gave {found:?}"
        );
    };
    check(
        "main.rs",
        "mod find; use std::io; find::find(rustix::io::x());",
        "",
    );
    check(
        "find.rs",
        "use crate::server; fn f() { tokio::spawn(g) }",
        "tokio",
    );
    check("main.rs", "extern crate rustls;", "rustls");
}
