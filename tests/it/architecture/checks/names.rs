//! Names are found, and traced to what they mean.

use super::workspace::agent;
use crate::architecture::package::Package;
use crate::architecture::scan::scan;

/// The names in one file, as messages show them, each with its line.
fn names(package: &Package, file: &str) -> Vec<String> {
    let file = format!("agent/src/{file}");
    let names = package.names().into_iter();
    let names = names.filter(|name| package.modules[name.module].file == file);
    names
        .map(|name| format!("{} {}", name.line, package.show(&name.meaning)))
        .collect()
}

#[test]
fn finds_what_a_file_names() {
    let check = |text: &str, expect: &[&str]| {
        let texts = [
            ("lib.rs", "mod ssh; mod a;"),
            ("ssh/mod.rs", "mod pump; mod open;"),
            ("ssh/open.rs", ""),
            ("a.rs", ""),
            ("ssh/pump.rs", text),
        ];
        assert_eq!(names(&agent(&texts), "ssh/pump.rs"), expect, "{text}");
    };
    check(
        "use x::{\n    b,\n    c::{self, d as e, *},\n};\npub(crate) use f;",
        &["2 x::b", "3 x::c", "3 x::c::d", "3 x::c::*", "5 f"],
    );
    check(
        "\nlet x: y::B<c::D> = ::e::f(g::h!());",
        &["2 y::B", "2 c::D", "2 e::f", "2 g::h"],
    );
    check("extern crate kube;", &["1 kube"]);
    check(
        "use {\n    std::io,\n    z as y,\n};",
        &["2 std::io", "3 z"],
    );
    check(
        "use super::open; use super::super::a; self::b();",
        &["1 crate::ssh::open", "1 crate::a", "1 crate::ssh::pump::b"],
    );
    check(
        "use super::*; fn f(_: &crate::a::B) {}",
        &["1 crate::ssh::*", "1 crate::a::B"],
    );
    // A name that a `use` brought in means the same wherever it stands.
    check(
        "use super::open as way; use std::io;\nway::f(); io::stdin()",
        &[
            "1 crate::ssh::open",
            "1 std::io",
            "2 crate::ssh::open::f",
            "2 std::io::stdin",
        ],
    );
    check(
        "mod inner { use super::super::open::A; use super::B; }",
        &["1 crate::ssh::open::A", "1 crate::ssh::pump::B"],
    );
}

#[test]
fn finds_who_defines_a_name() {
    let check = |text: &str, expect: &str| {
        let texts = [
            (
                "lib.rs",
                "mod a; mod b; mod c; pub use a::A; use std::io; macro_rules! again { () => {} }",
            ),
            (
                "a/mod.rs",
                "mod x; pub use x::{A, x, B as C}; pub use bytes::Bytes;",
            ),
            ("a/x.rs", "pub struct A; pub fn x() {} pub struct B;"),
            ("b.rs", "pub use crate::a::*; pub struct D;"),
            ("c.rs", text),
        ];
        let found = names(&agent(&texts), "c.rs");
        assert_eq!(found.last().map(|name| &name[2..]), Some(expect), "{text}");
    };
    check("use crate::a::A;", "crate::a::x::A");
    check("use crate::A;", "crate::a::x::A");
    check("use super::a; fn f() { a::C::new() }", "crate::a::x::B");
    // A function and a module of one name.
    check("crate::a::x()", "crate::a::x::x");
    check("use crate::b::A;", "crate::a::x::A");
    check("use crate::b::D;", "crate::b::D");
    check("use crate::b::E;", "crate::b::E");
    check("use crate::a::Bytes;", "crate::a::Bytes");
    check("use crate::b::*; fn f(_: D::F) {}", "crate::b::D");
    check("again!()", "crate::again!");
    check("use crate::c as this; this::A()", "crate::c::A");
}

#[test]
fn finds_the_library_of_a_program() {
    let texts = [
        ("lib.rs", "mod a;"),
        ("a.rs", ""),
        ("main.rs", "mod b; use podgate_agent::a::A; use b::B;"),
        ("bin/other/main.rs", "mod b; use crate::b::C;"),
        ("b.rs", ""),
        ("bin/other/b.rs", ""),
    ];
    let agent = agent(&texts);
    assert_eq!(names(&agent, "main.rs"), ["1 crate::a::A", "1 crate::b::B"]);
    assert_eq!(names(&agent, "bin/other/main.rs"), ["1 crate::b::C"]);
}

#[test]
fn survives_what_goes_round() {
    let texts = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b::A; pub use crate::b::*;"),
        (
            "b.rs",
            "use crate::a::A; pub use crate::a::*; use bytes; bytes::x()",
        ),
    ];
    let agent = agent(&texts);
    let found = names(&agent, "b.rs");
    assert_eq!(found, ["1 crate::a::*", "1 bytes", "1 bytes::x"]);
}

#[test]
fn passes_over_words_tests_and_text() {
    let check = |text: &str| {
        let found = scan(text).names;
        let found: Vec<_> = found.iter().map(|(_, path)| path.join("::")).collect();
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
