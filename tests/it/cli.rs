//! The programs' command lines: `--check`, and one clear line and status 2 for each mistake.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use podgate_tests::fixtures::gateway::binary;

fn run(name: &str, config: &Path, check: bool) -> Output {
    // A program, and its mode where there is one.
    let mut words = name.split(' ');
    let mut command = Command::new(binary(words.next().unwrap()).unwrap());
    command.args(words).arg("--config").arg(config);
    command.env_remove("NODE_NAME");
    if check {
        command.arg("--check");
    }
    command.output().unwrap()
}

#[test]
fn a_configuration_is_checked_and_what_is_wrong_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, example, broken, words) in [
        (
            "podgate-agent",
            "agent/agent.example.yaml",
            ("\nlisten:", "\nlissen:"),
            "lissen",
        ),
        (
            "podgate-agent",
            "agent/agent.example.yaml",
            ("  hostNetwork: false", "  hostNetwork: maybe"),
            "deny.hostNetwork",
        ),
        (
            "podgate-frontdoor",
            "frontdoor/frontdoor.example.yaml",
            ("port: 7443", "port: http"),
            "agents.port",
        ),
        (
            "podgate-frontdoor",
            "frontdoor/frontdoor.example.yaml",
            ("\nusers:", "\nusers: []\nuser:"),
            "user",
        ),
        (
            "podgate-frontdoor run",
            "frontdoor/frontdoor.example.yaml",
            ("port: 7443", "port: http"),
            "agents.port",
        ),
        (
            "podgate-signer",
            "frontdoor/signer/signer.example.yaml",
            ("\nbundle:", "\nbundel:"),
            "bundel",
        ),
        (
            "podgate-replay",
            "frontdoor/replay/replay.example.yaml",
            ("\nlimits:", "\nlimit:"),
            "limit",
        ),
    ] {
        let sound = root.join(example);
        let checked = run(name, &sound, true);
        assert_eq!(
            checked.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&checked.stderr)
        );
        assert!(checked.stdout.is_empty() && checked.stderr.is_empty());

        let text = std::fs::read_to_string(&sound).unwrap();
        assert!(text.contains(broken.0), "{}", broken.0);
        let wrong = dir.path().join("wrong.yaml");
        std::fs::write(&wrong, text.replace(broken.0, broken.1)).unwrap();
        for check in [true, false] {
            let output = run(name, &wrong, check);
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            assert!(
                error.contains("wrong.yaml") && error.contains(words),
                "{error}"
            );
        }
    }
    let output = run("podgate-agent", &dir.path().join("absent.yaml"), true);
    assert_eq!(output.status.code(), Some(2));
    for name in [
        "podgate-agent",
        "podgate-frontdoor",
        "podgate-replay",
        "podgate-signer",
    ] {
        let nothing = Command::new(binary(name).unwrap()).output().unwrap();
        assert_eq!(nothing.status.code(), Some(2), "{name}");
    }
}

#[test]
fn an_address_that_is_in_use_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = dir.path().join("agent.yaml");
    let yaml = format!(
        "node: node-a\nlisten: {address}\n\
         kubelet: {{url: 'https://127.0.0.1:1', serverName: node-a, ca: /none, tokenFile: /none}}\n\
         enrolment: {{signer: 'https://127.0.0.1:1', ca: /none, tokenFile: /none}}\n"
    );
    let pki = podgate_tests::fixtures::pki::Pki::new().unwrap();
    let ca = pki.write_ca(dir.path()).unwrap();
    let yaml = yaml.replace("ca: /none", &format!("ca: '{}'", ca.display()));
    std::fs::write(&config, yaml).unwrap();
    let output = run("podgate-agent", &config, false);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(error.matches("in use").count(), 1, "{error}");
    assert_eq!(error.matches(&address.to_string()).count(), 1, "{error}");

    // A path that a folder has.
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    let socket = dir.path().join("socket");
    std::fs::create_dir(&socket).unwrap();
    let output = Command::new(binary("podgate-node-helper").unwrap())
        .arg("--socket")
        .arg(socket)
        .output();
    let error = String::from_utf8(output.unwrap().stderr).unwrap();
    assert_eq!(error.matches("os error").count(), 1, "{error}");
}

#[test]
fn the_nodes_name_may_come_from_the_environment() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("agent/agent.example.yaml")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("agent.yaml");
    std::fs::write(&config, text.replace("\nnode: node-a", "")).unwrap();
    let output = run("podgate-agent", &config, true);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("node: "));
    let mut command = Command::new(binary("podgate-agent").unwrap());
    command
        .arg("--config")
        .arg(&config)
        .arg("--check")
        .env("NODE_NAME", "node-b");
    assert_eq!(command.output().unwrap().status.code(), Some(0));
}

#[test]
fn the_version_names_the_commit() {
    for name in [
        "podgate-agent",
        "podgate-node-helper",
        "podgate-frontdoor",
        "podgate-replay",
        "podgate-signer",
    ] {
        let mut command = Command::new(binary(name).unwrap());
        let output = command.arg("--version").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let commit = option_env!("PODGATE_COMMIT").unwrap_or("commit unknown");
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(said, format!("{name} {version} ({commit})\n"));
    }
}
