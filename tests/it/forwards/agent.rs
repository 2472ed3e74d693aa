//! `ssh -A`: sessions reach the client's ssh-agent by a socket in their container.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use podgate_tests::fixtures::images::Image;
use podgate_tests::instruments::ssh_agent::SshAgent;
use podgate_tests::real::containerd::{ContainerSpec, PodSpec};
use podgate_tests::stand_ins::apiserver::{Rbac, group, rule};
use rustix::process::Signal;

use super::node::Node;
use super::*;

/// An ssh-agent with one key, and what has a client forward it.
struct Agent {
    _agent: SshAgent,
    identity: String,
    /// As `ssh-add -l` shows the key.
    comment: &'static str,
}

impl Agent {
    async fn start() -> Self {
        let agent = SshAgent::start().await.unwrap();
        Self {
            identity: format!("-oIdentityAgent={}", agent.socket().display()),
            comment: "podgate-stand",
            _agent: agent,
        }
    }

    fn options(&self) -> [&str; 2] {
        ["-oForwardAgent=yes", &self.identity]
    }
}

fn spec() -> PodSpec {
    let app = ContainerSpec::new("app", Image::Bash).user(1000);
    PodSpec::new("deb").container(app)
}

async fn run(client: &Client, options: &[&str], command: &str) -> String {
    let output = client.run(options, "deb", command).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    format!("{}{said}", String::from_utf8_lossy(&output.stdout))
}

/// A session that stays, and the path of its socket.
async fn stays(node: &Node, agent: &Agent) -> (Child, PathBuf) {
    let mut ssh = node.stand.client.ssh(&agent.options(), "deb");
    let command = "echo $SSH_AUTH_SOCK >/tmp/path; exec cat";
    let ssh = ssh.arg(command).stdin(Stdio::piped()).spawn().unwrap();
    let told = node.file("/tmp/path").await;
    let read = || async {
        let text = std::fs::read_to_string(&told).ok()?;
        text.strip_suffix('\n').map(str::to_owned)
    };
    let path = eventually("the path", SOON, read).await.unwrap();
    assert!(path.starts_with("/tmp/podgate-agent-"), "{path}");
    (ssh, node.file(&path).await)
}

async fn until_gone(path: &Path) {
    let folder = path.parent().unwrap();
    let gone = || async { (!path.exists() && !folder.exists()).then_some(()) };
    eventually("no socket", SOON, gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_add_lists_the_clients_keys_in_the_pod() {
    let (node, agent) = (Node::start(spec(), "").await, Agent::start().await);
    let client = &node.stand.client;
    let control = node.stand.dir().join("control");
    let option = format!("-oControlPath={}", control.display());
    let (option, [forward, identity]) = (option.as_str(), agent.options());
    let shared = client
        .ssh(&["-M", "-N", option, forward, identity], "deb")
        .spawn();
    let there = || async { control.exists().then_some(()) };
    eventually("a shared connection", SOON, there)
        .await
        .unwrap();
    assert_eq!(run(client, &[option], "echo $SSH_AUTH_SOCK").await, "\n");
    let list = "ssh-add -l && echo $SSH_AUTH_SOCK";
    let mut first = None;
    // Repeated requests, and a later session without one.
    for options in [&[option, forward][..], &[option, forward], &[option]] {
        let said = run(client, options, list).await;
        assert!(said.contains(agent.comment), "{said}");
        let path = said.lines().last().unwrap().to_owned();
        assert_eq!(first.get_or_insert(path.clone()), &path);
    }
    let path = node.file(&first.unwrap()).await;
    let (socket, folder) = (
        std::fs::metadata(&path).unwrap(),
        std::fs::metadata(path.parent().unwrap()).unwrap(),
    );
    assert_eq!((socket.mode() & 0o7777, socket.uid()), (0o600, 1000));
    assert_eq!((folder.mode() & 0o7777, folder.uid()), (0o700, 1000));
    let active = ["podgate_frontdoor_agent_sockets_active 1"];
    node.stand.frontdoor.counts(SOON, &active).await.unwrap();
    drop(shared);
    until_gone(&path).await;
    node.stand.until_quiet(SOON).await.unwrap();
    let active = ["podgate_frontdoor_agent_sockets_active 0"];
    node.stand.frontdoor.counts(SOON, &active).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tmp_the_socket_is_in_the_home() {
    let (node, agent) = (Node::start(spec(), "").await, Agent::start().await);
    let shut = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(node.file("/tmp").await, shut).unwrap();
    let list = "ssh-add -l && echo $SSH_AUTH_SOCK";
    let said = run(&node.stand.client, &agent.options(), list).await;
    assert!(said.contains(agent.comment), "{said}");
    let path = said.lines().last().unwrap();
    let expect = "/home/app/.ssh/agent/podgate-agent-";
    assert!(path.starts_with(expect), "{path}");
    until_gone(&node.file(path).await).await;
    for folder in ["/home/app/.ssh", "/home/app/.ssh/agent"] {
        let folder = std::fs::metadata(node.file(folder).await).unwrap();
        assert_eq!(folder.mode() & 0o7777, 0o700);
    }
    // And with neither the program runs without one.
    let shut = std::fs::Permissions::from_mode(0o555);
    let home = node.file("/home/app/.ssh/agent").await;
    std::fs::set_permissions(home, shut).unwrap();
    let said = run(
        &node.stand.client,
        &agent.options(),
        "echo none=$SSH_AUTH_SOCK",
    )
    .await;
    assert_eq!(said, "none=\n");
    let words = "no folder for the agent's socket: permission denied";
    remote::refused_with(&node.stand, words).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_gone_with_whoever_dies() {
    let agent = Agent::start().await;
    for dies in ["client", "worker", "frontdoor", "agent"] {
        let node = Node::start(spec(), "").await;
        let (ssh, path) = stays(&node, &agent).await;
        match dies {
            "client" => drop(ssh),
            "worker" => {
                let command = "pkill -KILL podgate-worker && echo killed";
                let killed = run(&node.stand.client, &[], command).await;
                assert_eq!(killed, "killed\n");
                drop(ssh);
            }
            "frontdoor" => node.stand.frontdoor.signal(Signal::KILL).unwrap(),
            _ => node.stand.agent.signal(Signal::KILL).unwrap(),
        }
        until_gone(&path).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_has_left_goes_with_the_next() {
    let (mut node, agent) = (Node::start(spec(), "").await, Agent::start().await);
    let (ssh, path) = stays(&node, &agent).await;
    let killed = run(
        &node.stand.client,
        &[],
        "pkill -KILL podgate-worker && echo killed",
    )
    .await;
    assert_eq!(killed, "killed\n");
    node.stand.agent.signal(Signal::KILL).unwrap();
    node.stand.agent.ended().await.unwrap();
    drop(ssh);
    assert!(path.exists());
    node.stand.restart_agent().await.unwrap();
    let listed = || async {
        let said = run(&node.stand.client, &agent.options(), "ssh-add -l").await;
        said.contains(agent.comment).then_some(())
    };
    eventually("the keys", SOON, listed).await.unwrap();
    until_gone(&path).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_is_execs() {
    let (node, agent) = (Node::start(spec(), "").await, Agent::start().await);
    let rules = [rule(&["create"], &[""], &["pods/exec"])];
    let rbac = Rbac::default().cluster_role("some", &rules);
    let rbac = rbac.bind("default", "dev", "ClusterRole/some", &[group("dev")]);
    node.stand.api.set_rbac(rbac);
    let said = run(&node.stand.client, &agent.options(), "ssh-add -l").await;
    assert!(said.contains(agent.comment), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_a_key_refuse_it() {
    let stand = stand("").await;
    let agent = Agent::start().await;
    let (client, key) = stand.stranger("bob").await.unwrap();
    let prohibited = "this login may not forward an agent";
    let entry = "needs the node entry";
    for (options, expect) in [
        ("", entry),
        ("no-agent-forwarding", prohibited),
        ("restrict", prohibited),
        ("restrict,agent-forwarding", entry),
        ("no-port-forwarding", entry),
    ] {
        let users = format!("- {{name: bob, groups: [dev], keys: ['{options} {key}']}}\n");
        let draft = stand.dir().join("draft");
        std::fs::write(&draft, users).unwrap();
        std::fs::rename(&draft, stand.dir().join("users.yaml")).unwrap();
        // The file is looked at now and then.
        let as_expected = || async {
            let before = stand.frontdoor.log().len();
            let command = "echo none=$SSH_AUTH_SOCK";
            let [forward, identity] = agent.options();
            let options = [VERBOSE, forward, identity];
            let output = client.run(&options, "demo", command).await.unwrap();
            let log = stand.frontdoor.log();
            let logged = log.get(before..).unwrap_or_default().join("\n");
            let shown = String::from_utf8_lossy(&output.stderr);
            let remote = shown
                .lines()
                .find(|line| line.contains("Remote: podgate: "))?;
            let all = logged.contains(expect) && remote.contains(expect);
            (all && output.stdout == b"none=\n").then_some(())
        };
        eventually(&format!("{options}: {expect}"), SOON, as_expected)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_says_why_there_is_none() {
    let stand = stand("").await;
    let agent = Agent::start().await;
    let options = agent.options();
    let command = ["echo", "none=$SSH_AUTH_SOCK"];
    let terminal = stand
        .client
        .terminal_with(&options, "demo", &command, 24, 80);
    let (text, status) = terminal.unwrap().end().await.unwrap();
    assert_eq!(status, 0, "{text}");
    let text = text.replace("\r\n", "");
    assert!(
        text.contains("none=") && text.contains("needs the node entry"),
        "{text}"
    );
}
