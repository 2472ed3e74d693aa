//! Circles are found, by the shortest way round, and what children take from above.

use super::workspace::agent;
use crate::architecture::circles;
use crate::architecture::package::Package;

fn check(rule: fn(&Package) -> Vec<String>, texts: &[(&str, &str)], expect: &[&str]) {
    assert_eq!(rule(&agent(texts)), expect, "{texts:?}");
}

#[test]
fn files_in_circles_are_found() {
    let check = |a: &str, b: &str, c: &str, expect: &[&str]| {
        let texts = [
            ("lib.rs", "mod a; mod m; pub use a::A; use m::b::B;"),
            ("a.rs", a),
            ("m/mod.rs", "pub mod b; mod c; pub use c::C;"),
            ("m/b.rs", b),
            ("m/c.rs", c),
        ];
        self::check(circles::files, &texts, expect);
    };
    check("", "", "", &[]);
    // What a module's own file re-exports from below is no way back to that file.
    check("use crate::m::{self, C}; m::b::B", "use super::C;", "", &[]);
    check(
        "\nuse crate::m::C;",
        "use crate::a::X;",
        "\nuse super::b::B;\n",
        &[
            "3 import each other: agent/src/a.rs, agent/src/m/b.rs, agent/src/m/c.rs\n    \
           agent/src/a.rs:2: crate::m::c::C\n    \
           agent/src/m/c.rs:2: crate::m::b::B\n    \
           agent/src/m/b.rs:1: crate::a::X",
        ],
    );
    // The shortest of several ways.
    check(
        "use crate::m::C;",
        "use crate::a::X;",
        "use super::b::B; use crate::a::X;",
        &[
            "3 import each other: agent/src/a.rs, agent/src/m/b.rs, agent/src/m/c.rs\n    \
           agent/src/a.rs:1: crate::m::c::C\n    \
           agent/src/m/c.rs:1: crate::a::X",
        ],
    );
    // The root counts as any other file, and so does a module's own.
    check(
        "",
        "use crate::Z;",
        "",
        &[
            "2 import each other: agent/src/lib.rs, agent/src/m/b.rs\n    \
           agent/src/lib.rs:1: crate::m::b::B\n    \
           agent/src/m/b.rs:1: crate::Z",
        ],
    );
    check(
        "",
        "",
        "use super::D;",
        &[
            "2 import each other: agent/src/m/c.rs, agent/src/m/mod.rs\n    \
           agent/src/m/c.rs:1: crate::m::D\n    \
           agent/src/m/mod.rs:1: crate::m::c::C",
        ],
    );
}

#[test]
fn modules_in_circles_are_found() {
    let check = |x: &str, y: &str, expect: &[&str]| {
        let texts = [
            ("lib.rs", "mod m;"),
            ("m.rs", "mod a; mod b;"),
            ("m/a.rs", "mod x;"),
            ("m/a/x.rs", x),
            ("m/b.rs", "mod y; mod z;"),
            ("m/b/y.rs", y),
            ("m/b/z.rs", ""),
        ];
        self::check(circles::modules, &texts, expect);
    };
    check("use crate::m::b::z::Z;", "use super::z::Z;", &[]);
    // No file is in a circle here.
    check(
        "use crate::m::b::z::Z;",
        "use crate::m::a::A;",
        &["2 import each other: crate::m::a, crate::m::b\n    \
           agent/src/m/a/x.rs:1: crate::m::b::z::Z\n    \
           agent/src/m/b/y.rs:1: crate::m::a::A"],
    );
}

#[test]
fn what_is_taken_from_above_is_found() {
    let check = |x: &str, expect: &[&str]| {
        let texts = [
            ("lib.rs", "mod a; mod b; use std::io;"),
            ("a.rs", "mod x; mod y; use y::Y; use crate::b::B;"),
            ("a/x.rs", x),
            ("a/y.rs", ""),
            ("b.rs", ""),
        ];
        self::check(circles::taken_from_above, &texts, expect);
    };
    check("use super::{Y, B, y::Z}; use crate::b; b::f()", &[]);
    check("mod inner { use super::X; } struct X;", &[]);
    let from_a = "taken from agent/src/a.rs, above it";
    check(
        "use super::{\n    Error,\n    Y,\n};",
        &[&format!("agent/src/a/x.rs:2: crate::a::Error: {from_a}")],
    );
    check(
        "use super::*;",
        &[&format!("agent/src/a/x.rs:1: crate::a::*: {from_a}")],
    );
    check(
        "impl crate::Agent {}",
        &["agent/src/a/x.rs:1: crate::Agent: taken from agent/src/lib.rs, above it"],
    );
}
