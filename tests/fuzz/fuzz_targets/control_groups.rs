//! /proc/PID/cgroup of a process, and the helper's own behind a NUL: reading them never panics, and what a
//! container appends to its group's path changes nothing about whose it is.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure file itself: it needs no more.
#[path = "../../../agent/helper/src/control_groups.rs"]
mod control_groups;
use control_groups::containers;

fuzz_target!(|text: &str| {
    let (theirs, own) = text.split_once('\0').unwrap_or((text, ""));
    for id in containers(theirs, own) {
        assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    }
    let name: String = text.chars().filter(|c| !c.is_control()).collect();
    let (container, other) = ("a".repeat(64), "b".repeat(64));
    let line = format!("0::/k8s.io/{container}/{name}/{other}");
    assert_eq!(containers(&line, "0::/"), [container.as_str()]);
    // A container of this name is another one.
    assert_ne!(
        containers(&format!("0::/k8s.io/{other}"), "0::/"),
        [container]
    );
});
