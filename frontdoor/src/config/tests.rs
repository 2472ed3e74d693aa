//! The example configuration, and what is wrong in others.

use podgate_process::config::parse;

use super::*;

const EXAMPLE: &str = include_str!("../../frontdoor.example.yaml");

fn read(yaml: &str) -> Result<Config, String> {
    check(parse(yaml)?).map_err(|invalid| invalid.to_string())
}

#[test]
fn the_example_is_a_configuration() {
    let config = read(EXAMPLE).unwrap();
    assert_eq!(config.agents.port, 7443);
    assert_eq!(config.sessions.default_namespace, "default");
}

#[test]
fn the_examples_limits_are_the_defaults() {
    let (before, rest) = EXAMPLE.split_once("\nlimits:\n").unwrap();
    let (given, after) = rest.split_once("\n\n# At SIGTERM").unwrap();
    let keys = given.lines().filter(|line| !line.starts_with("  #"));
    assert_eq!(keys.count(), 26, "{given}");
    let bare = read(&format!("{before}\n# At SIGTERM{after}")).unwrap();
    let full = read(EXAMPLE).unwrap();
    assert_eq!(format!("{:?}", full.limits), format!("{:?}", bare.limits));
}

#[test]
fn the_examples_bounds_of_the_cluster_are_the_defaults() {
    let (before, rest) = EXAMPLE.split_once("\ncluster:\n").unwrap();
    let (given, after) = rest.split_once("\n\n").unwrap();
    let keys = given.lines().filter(|line| !line.starts_with("  #"));
    assert_eq!(keys.count(), 5, "{given}");
    let bare = read(&format!("{before}\n{after}")).unwrap();
    let full = read(EXAMPLE).unwrap();
    assert_eq!(format!("{:?}", full.cluster), format!("{:?}", bare.cluster));
}

#[test]
fn a_wrong_key_or_value_is_named() {
    let check = |from: &str, to: &str, expect: &str| {
        assert!(EXAMPLE.contains(from), "{from:?}");
        let error = read(&EXAMPLE.replace(from, to)).err().unwrap_or_default();
        assert!(error.contains(expect), "{to:?} gave {error:?}");
    };
    check("\nusers:", "\nuzers:", "uzers");
    check("\nlisten: 0.0.0.0:2222", "\nlisten: here", "listen");
    check("  port: 7443", "  port: 70000", "agents.port");
    check(
        "  - /etc/podgate/ssh/ssh_host_ed25519_key",
        "  []",
        "hostKeys: ",
    );
    check(
        "defaultNamespace: default",
        "defaultNamespace: A",
        "defaultNamespace: ",
    );
    check("  suffix: pod", "  suffix: .pod", "jump.suffix: ");
    check(
        "proxyProtocol: {from: []}",
        "proxyProtocol: {from: [10.0.0.1/8]}",
        "proxyProtocol.from: ",
    );
    check(
        "acceptEnv: [COLORTERM, GIT_PROTOCOL, NO_COLOR]",
        "acceptEnv: ['A=B']",
        "acceptEnv: ",
    );
    check(
        "workingDirectory: home",
        "workingDirectory: /srv",
        "workingDirectory",
    );
    check("drainSeconds: 30", "drainSeconds: -1", "drainSeconds");
    check("loginShell: false", "loginShell: perhaps", "loginShell");
    check("  starts: 2000", "  starts: many", "limits.starts");
    check("  starts: 2000", "  starts: 0", "limits.starts: ");
    check(
        "recheckSeconds: 60",
        "recheckSeconds: 0",
        "recheckSeconds: ",
    );
    check("\nusers:", "\n# users:", "users: absent");
    check("  to: stdout", "  to: log", "audit.to: ");
    check("onFailure: deny", "onFailure: panic", "audit.onFailure");
    check("queueBytes: 4194304", "queueBytes: 1", "audit.queueBytes: ");
    check("  starts: 2000", "  begins: 2000", "begins");
    check("  uidBytes: 64", "  uidBytes: 1", "cluster.uidBytes: ");
}

#[test]
fn variables_beyond_the_list_are_not_accepted() {
    let mut sessions = read(EXAMPLE).unwrap().sessions;
    let bare = EXAMPLE.replace("\nacceptEnv: ", "\n# acceptEnv: ");
    assert_eq!(
        read(&bare).unwrap().sessions.accept_env,
        sessions.accept_env
    );
    let more = ["GIT_AUTHOR", "EDITOR*", "?_X"];
    sessions.accept_env.extend(more.map(str::to_owned));
    for (name, expect) in [
        ("LANG", true),
        ("LC_ALL", true),
        ("LC_A=B", false),
        ("LANGUAGE", false),
        ("GIT_AUTHOR", true),
        ("GIT_PROTOCOL", true),
        ("COLORTERM", true),
        ("NO_COLOR", true),
        ("GIT_AUTHOR_NAME", false),
        ("EDITOR", true),
        ("EDITOR_FLAGS", true),
        ("EDITOR-X", false),
        ("A_X", true),
        ("9_X", false),
        ("AB_X", false),
        ("LD_PRELOAD", false),
        ("", false),
    ] {
        assert_eq!(sessions.takes(name, "a b"), expect, "{name}");
        assert!(!sessions.takes(name, "a\0b"), "{name}");
    }
}
