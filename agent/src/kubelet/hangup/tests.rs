//! The hang-up script on real processes of this machine, as each kind of sh runs it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

use super::*;

const SHELLS: [&[&str]; 3] = [&["dash"], &["bash"], &["busybox", "sh"]];

/// A process that leads a group of its own, once it has said that it is set up.
fn leader(script: &str) -> (Child, Leader) {
    let mut child = Command::new("dash")
        .args(["-c", script])
        .process_group(0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    (child, Leader::from_stat(&stat).unwrap())
}

fn run(shell: &[&str], leader: Leader, signal: &str) -> Option<i32> {
    Command::new(shell[0])
        .args(&shell[1..])
        .args(["-c", SCRIPT, "hangup"])
        .args([
            leader.pid.to_string(),
            leader.start_time.to_string(),
            signal.to_owned(),
        ])
        .status()
        .unwrap()
        .code()
}

#[test]
fn sighup_reaches_the_leader() {
    for shell in SHELLS {
        let (mut child, leader) = leader("echo up; sleep 1000");
        assert_eq!(run(shell, leader, "HUP"), Some(0), "{shell:?}");
        assert_eq!(child.wait().unwrap().signal(), Some(1), "{shell:?}");
    }
}

#[test]
fn sigkill_reaches_a_leader_that_ignores_sighup() {
    for shell in SHELLS {
        let (mut child, leader) = leader("trap '' HUP; echo up; sleep 1000; :");
        assert_eq!(run(shell, leader, "HUP"), Some(0), "{shell:?}");
        assert_eq!(child.try_wait().unwrap(), None, "{shell:?}");
        assert_eq!(run(shell, leader, "KILL"), Some(0), "{shell:?}");
        assert_eq!(child.wait().unwrap().signal(), Some(9), "{shell:?}");
    }
}

#[test]
fn a_process_that_started_at_another_time_is_not_signalled() {
    for shell in SHELLS {
        let (mut child, found) = leader("echo up; exec sleep 1000");
        let other = Leader {
            start_time: found.start_time + 1,
            ..found
        };
        assert_eq!(run(shell, other, "HUP"), Some(i32::from(GONE)), "{shell:?}");
        assert_eq!(
            run(shell, other, "KILL"),
            Some(i32::from(GONE)),
            "{shell:?}"
        );
        assert_eq!(child.try_wait().unwrap(), None, "{shell:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_name_with_spaces_and_parentheses_does_not_confuse() {
    let fields = "S 1 7 7 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 987654 0";
    let leader = Leader::from_stat(&format!("7 (a) b (c) {fields}"));
    assert_eq!(
        leader,
        Some(Leader {
            pid: 7,
            start_time: 987_654
        })
    );
    assert_eq!(Leader::from_stat("7 (sh"), None);
}
