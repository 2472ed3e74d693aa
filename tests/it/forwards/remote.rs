//! `ssh -R`: ports of the pod that lead to the client's machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use podgate_tests::real::containerd::PodSpec;
use podgate_tests::stand_ins::apiserver::{Rbac, group, rule};
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

use super::node::Node;
use super::*;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// The port that ssh says it was given.
async fn allocated(ssh: &mut Child) -> Option<u16> {
    let stderr = ssh.stderr.take().unwrap();
    let mut lines = BufReader::new(stderr).lines();
    let find = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(rest) = line.strip_prefix("Allocated port ") {
                let port = rest.split(' ').next().unwrap();
                return Some(port.parse().unwrap());
            }
        }
        None
    };
    timeout(SOON, find).await.unwrap()
}

/// An `ssh -N -R` that listens at any free port of this host in the pod, and leads to a port here.
async fn remote(node: &Node, host: &str, to: u16) -> (Child, u16) {
    let forward = format!("{host}:0:127.0.0.1:{to}");
    let options = ["-N", SAY, "-oExitOnForwardFailure=yes", "-R", &forward];
    let ssh = node.stand.client.ssh(&options, &node.pod.name);
    let mut ssh = { ssh }.spawn().unwrap();
    let port = allocated(&mut ssh).await.expect("a port");
    (ssh, port)
}

/// What a server answers at an address of the pod.
async fn answer(mut stream: TcpStream, text: &[u8]) -> Vec<u8> {
    let ask = async {
        stream.write_all(text).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    };
    timeout(SOON, ask).await.unwrap()
}

impl Node {
    async fn ask(&self, host: IpAddr, port: u16, text: &[u8]) -> Option<Vec<u8>> {
        let stream = self.pod.connect(SocketAddr::new(host, port)).await.ok()?;
        Some(answer(stream, text).await)
    }

    /// Whether nobody listens there.
    async fn is_closed(&self, host: IpAddr, port: u16) -> bool {
        self.pod.connect(SocketAddr::new(host, port)).await.is_err()
    }

    async fn until_closed(&self, port: u16) {
        let closed = || async { self.is_closed(V4, port).await.then_some(()) };
        eventually("nobody listens", SOON, closed).await.unwrap();
    }

    /// Whether the pod has IPv6.
    async fn has_v6(&self) -> bool {
        self.pod.listen(SocketAddr::new(V6, 0)).await.is_ok()
    }

    /// Waits until the frontdoor's log has why a listener is refused.
    async fn until_refused(&self, words: &str) {
        refused_with(&self.stand, words).await.unwrap();
    }
}

/// Whether `ssh -v` has shown these words of the frontdoor.
fn shows(said: &str, words: &str) -> bool {
    let mut remote = said
        .lines()
        .filter(|line| line.contains("Remote: podgate: "));
    remote.any(|line| line.contains(words))
}

pub(super) async fn refused_with(stand: &Stand, words: &str) -> anyhow::Result<()> {
    let said = || async {
        let log = stand.frontdoor.log();
        let lines = log.iter().map(String::as_str);
        let mut events = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = events.any(|event| {
            let reason = event["reason"].as_str().unwrap_or_default();
            event["message"] == "listener refused" && reason.contains(words)
        });
        found.then_some(())
    };
    eventually(words, SOON, said).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_the_pod_leads_to_the_clients_machine() {
    let server = Upper::start().await.unwrap();
    for spec in [PodSpec::busybox("bb"), PodSpec::distroless("none")] {
        let node = Node::start(spec, "").await;
        let (ssh, port) = remote(&node, "localhost", server.port()).await;
        let text = vec![b'a'; 3_000_000];
        let families: &[IpAddr] = if node.has_v6().await {
            &[V4, V6]
        } else {
            &[V4]
        };
        for host in families {
            let answered = node.ask(*host, port, &text).await.unwrap();
            assert!(answered == text.to_ascii_uppercase(), "{host}");
        }
        // Many at a time, and more after them.
        for _ in 0..2 {
            let asked = (0..50).map(|n| {
                let (node, text) = (&node, format!("hello {n}"));
                async move { (node.ask(V4, port, text.as_bytes()).await, text) }
            });
            for (answered, text) in futures_util::future::join_all(asked).await {
                assert_eq!(answered.unwrap(), text.to_uppercase().into_bytes());
            }
        }
        let counts = [
            "podgate_frontdoor_forwards_active 0",
            "podgate_frontdoor_listeners_active 1",
        ];
        node.stand.frontdoor.counts(SOON, &counts).await.unwrap();
        let taken = 100 + families.len();
        let taken = format!("podgate_agent_accepts_total{{outcome=\"taken\"}} {taken}");
        let counts = [
            "podgate_agent_listeners_active 1",
            "podgate_agent_listens_total{outcome=\"bound\"} 1",
            &taken,
        ];
        node.stand.agent.counts(SOON, &counts).await.unwrap();
        drop(ssh);
        node.until_closed(port).await;
        node.stand.until_quiet(SOON).await.unwrap();
        let ended = ["podgate_agent_listeners_active 0"];
        node.stand.agent.counts(SOON, &ended).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_ports_say_at_which_addresses() {
    let server = Upper::start().await.unwrap();
    let to = server.port();
    for mode in ["no", "yes", "clientspecified"] {
        let lines = format!("forwards: {{gatewayPorts: {mode}}}\n");
        let node = Node::start(PodSpec::busybox("bb"), &lines).await;
        let address: IpAddr = node.bridge.place(2).address.parse().unwrap();
        let v6 = node.has_v6().await;
        let own = address.to_string();
        // What is asked for, and whether loopback of either family and the pod's address lead there.
        let cases: &[(&str, bool, bool, bool)] = match mode {
            "no" => &[
                ("*", true, true, false),
                ("127.0.0.1", true, false, false),
                ("[::1]", false, true, false),
                (&own, true, true, false),
            ],
            "yes" => &[("localhost", true, true, true), ("", true, true, true)],
            _ => &[
                ("*", true, true, true),
                ("0.0.0.0", true, false, true),
                ("[::]", false, true, false),
                ("localhost", true, true, false),
                ("127.0.0.1", true, false, false),
                (&own, false, false, true),
            ],
        };
        for (asked, loopback, loopback6, outside) in cases {
            if !v6 && !*loopback && *loopback6 {
                continue;
            }
            let (_ssh, port) = remote(&node, asked, to).await;
            for (host, expect) in [(V4, *loopback), (V6, *loopback6 && v6), (address, *outside)] {
                let answered = node.ask(host, port, b"hi").await;
                let expect = expect.then(|| b"HI".to_vec());
                assert_eq!(answered, expect, "{mode}: {asked} at {host}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_refused_and_a_cancelled_one_is_free_at_once() {
    let node = Node::start(PodSpec::busybox("bb"), "").await;
    let (server, client) = (Upper::start().await.unwrap(), &node.stand.client);
    let other = node.pod.listen(SocketAddr::new(V4, 0)).await.unwrap();
    let taken = other.local_addr().unwrap().port();
    let forward = |port: u16| format!("{port}:127.0.0.1:{}", server.port());
    let option = forward(taken);
    let options = ["-N", "-oExitOnForwardFailure=yes", "-R", &option];
    let output = timeout(SOON, client.ssh(&options, "bb").output()).await;
    let output = output.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let expect = format!("Error: remote port forwarding failed for listen port {taken}");
    assert!(!output.status.success() && said.contains(&expect), "{said}");
    node.until_refused(&format!("127.0.0.1:{taken}: address already in use"))
        .await;

    let shared = client.share("bb").await.unwrap();
    let control = async |command: &str, forward: &str| {
        let options = [shared.option.as_str(), "-O", command, "-R", forward];
        let output = timeout(SOON, client.ssh(&options, "bb").output()).await;
        let output = output.unwrap().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    };
    let port = control("forward", &forward(0)).await.unwrap();
    let port: u16 = port.parse().unwrap();
    let stands = node.pod.connect(SocketAddr::new(V4, port)).await.unwrap();
    let active = ["podgate_agent_accepts_total{outcome=\"taken\"} 1"];
    node.stand.agent.counts(SOON, &active).await.unwrap();
    // By another connection, too.
    let again = forward(port);
    let options = ["-N", "-oExitOnForwardFailure=yes", "-R", &again];
    let output = timeout(SOON, client.ssh(&options, "bb").output()).await;
    assert!(!output.unwrap().unwrap().status.success());
    control("cancel", &forward(0)).await.unwrap();
    node.until_closed(port).await;
    assert_eq!(answer(stands, b"stands").await, b"STANDS");
    for _ in 0..2 {
        control("forward", &forward(port)).await.unwrap();
        assert_eq!(node.ask(V4, port, b"hi").await.unwrap(), b"HI");
        // ssh asks for no answer, and the next request comes at once.
        control("cancel", &forward(port)).await.unwrap();
    }
    node.until_closed(port).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_client_refuses_is_closed_and_disturbs_no_other() {
    let node = Node::start(PodSpec::busybox("bb"), "").await;
    let server = Upper::start().await.unwrap();
    // Nobody listens where it leads.
    let (_ssh, port) = remote(&node, "localhost", free_port().await).await;
    assert_eq!(node.ask(V4, port, b"").await.unwrap(), b"");
    let (_other, port) = remote(&node, "localhost", server.port()).await;
    assert_eq!(node.ask(V4, port, b"hi").await.unwrap(), b"HI");
    let declined = ["podgate_agent_accepts_total{outcome=\"declined\"} 1"];
    node.stand.agent.counts(SOON, &declined).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_outlives_its_worker_and_no_part_that_dies() {
    let server = Upper::start().await.unwrap();
    for dies in ["client", "frontdoor", "agent"] {
        let node = Node::start(PodSpec::bash("deb"), "").await;
        let (ssh, port) = remote(&node, "localhost", server.port()).await;
        let command = "pkill -KILL podgate-worker && echo killed";
        let killed = node.stand.client.run(&[], "deb", command).await.unwrap();
        assert_eq!(killed.stdout, b"killed\n", "{killed:?}");
        assert_eq!(node.ask(V4, port, b"hi").await.unwrap(), b"HI");
        let stands = node.pod.connect(SocketAddr::new(V4, port)).await;
        let mut stands = stands.unwrap();
        stands.write_all(b"half").await.unwrap();
        let active = ["podgate_agent_accepts_total{outcome=\"taken\"} 2"];
        node.stand.agent.counts(SOON, &active).await.unwrap();
        match dies {
            "client" => drop(ssh),
            "frontdoor" => node.stand.frontdoor.signal(Signal::KILL).unwrap(),
            _ => node.stand.agent.signal(Signal::KILL).unwrap(),
        }
        node.until_closed(port).await;
        let end = timeout(SOON, stands.read(&mut [0])).await.unwrap();
        assert!(!end.is_ok_and(|read| read > 0), "{dies}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_is_portforwards_and_asked_again() {
    let lines = "authorization: {allowedSeconds: 1, deniedSeconds: 1}\nrecheckSeconds: 1\n";
    let node = Node::start(PodSpec::busybox("bb"), lines).await;
    let server = Upper::start().await.unwrap();
    let may = |resource: &str| {
        let rules = [rule(&["create"], &[""], &[resource])];
        let rbac = Rbac::default().cluster_role("some", &rules);
        rbac.bind("default", "dev", "ClusterRole/some", &[group("dev")])
    };
    node.stand.api.set_rbac(may("pods/exec"));
    let forward = format!("0:127.0.0.1:{}", server.port());
    let options = ["-N", SAY, "-oExitOnForwardFailure=yes", "-R", &forward];
    let ssh = || node.stand.client.ssh(&options, "bb");
    let output = timeout(SOON, ssh().output()).await.unwrap().unwrap();
    assert!(!output.status.success(), "{output:?}");
    node.until_refused("no pod bb in namespace default, or you may not enter it")
        .await;
    node.stand.api.set_rbac(may("pods/portforward"));
    let allowed = || async {
        let mut ssh = ssh().spawn().unwrap();
        allocated(&mut ssh).await.map(|port| (ssh, port))
    };
    let (_ssh, port) = eventually("the right", SOON, allowed).await.unwrap();
    assert_eq!(node.ask(V4, port, b"hi").await.unwrap(), b"HI");
    node.stand.api.set_rbac(may("pods/exec"));
    node.until_closed(port).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_have_limits_of_their_own() {
    let server = Upper::start().await.unwrap();
    for (frontdoor, agent, words) in [
        (
            "limits: {listenersPerConnection: 1}\n",
            "",
            "the connection has as many listeners as it may have",
        ),
        (
            "limits: {listenersPerUser: 1}\n",
            "",
            "you have reached the limit of listeners per user",
        ),
        (
            "limits: {listeners: 1}\n",
            "",
            "this frontdoor has reached its limit of listeners",
        ),
        (
            "",
            "listeners: 1\n",
            "the pod's node has reached its limit of listeners",
        ),
    ] {
        let node = Node::with(PodSpec::busybox("bb"), frontdoor, agent).await;
        let forward = format!("0:127.0.0.1:{}", server.port());
        // ssh asks for the same one only once.
        let other = format!("localhost:{forward}");
        let options = [
            "-N",
            "-oExitOnForwardFailure=yes",
            "-R",
            &forward,
            "-R",
            &other,
        ];
        let output = timeout(SOON, node.stand.client.ssh(&options, "bb").output()).await;
        assert!(!output.unwrap().unwrap().status.success(), "{words}");
        node.until_refused(words).await;
        // The place is free again.
        let options = ["-N", SAY, "-oExitOnForwardFailure=yes", "-R", &forward];
        let again = || async {
            let mut ssh = node.stand.client.ssh(&options, "bb");
            allocated(&mut ssh.spawn().unwrap()).await
        };
        eventually("a place", SOON, again).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_come_count_as_forwards() {
    let node = Node::start(
        PodSpec::busybox("bb"),
        "limits: {forwardsPerConnection: 1}\n",
    )
    .await;
    let server = Upper::start().await.unwrap();
    let (_ssh, port) = remote(&node, "localhost", server.port()).await;
    let at = SocketAddr::new(V4, port);
    let first = node.pod.connect(at).await.unwrap();
    let active = ["podgate_agent_accepts_total{outcome=\"taken\"} 1"];
    node.stand.agent.counts(SOON, &active).await.unwrap();
    assert_eq!(node.ask(V4, port, b"").await.unwrap(), b"");
    let counted = "podgate_frontdoor_refused_total{limit=\"forwardsPerConnection\"} 1";
    node.stand.frontdoor.counts(SOON, &[counted]).await.unwrap();
    assert_eq!(answer(first, b"hi").await, b"HI");
    let again = || async {
        let stream = node.pod.connect(at).await.unwrap();
        (answer(stream, b"hi").await == b"HI").then_some(())
    };
    eventually("a place", SOON, again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_a_key_and_hosts_refuse_listeners() {
    let stand = stand("").await;
    for (target, expect) in [
        ("help", "this connection's login name is no target"),
        (
            "gone",
            "no pod gone in namespace default, or you may not enter it",
        ),
    ] {
        let options = [VERBOSE, "-oExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"];
        let said = said(&stand.client, &options, target).await;
        assert!(
            said.contains("Error: remote port forwarding failed"),
            "{said}"
        );
        assert!(shows(&said, expect), "{said}");
        refused_with(&stand, expect).await.unwrap();
    }
    let (client, key) = stand.stranger("bob").await.unwrap();
    let entry = "needs the node entry";
    let prohibited = "this login may not forward ports";
    let elsewhere = "this login may not listen at that host and port (permitlisten)";
    for (options, port, expect) in [
        ("", "0", entry),
        ("no-port-forwarding", "0", prohibited),
        ("restrict", "0", prohibited),
        ("restrict,port-forwarding", "0", entry),
        ("permitlisten=\"localhost:8080\"", "0", elsewhere),
        ("permitlisten=\"localhost:8080\"", "8081", elsewhere),
        ("permitlisten=\"localhost:8080\"", "*:8080", elsewhere),
        ("permitlisten=\"localhost:8080\"", "8080", entry),
        ("permitlisten=\"8080\"", "*:8080", entry),
    ] {
        let users = format!("- {{name: bob, groups: [dev], keys: ['{options} {key}']}}\n");
        let draft = stand.dir().join("draft");
        std::fs::write(&draft, users).unwrap();
        std::fs::rename(&draft, stand.dir().join("users.yaml")).unwrap();
        let forward = format!("{port}:127.0.0.1:1");
        // The file is looked at now and then.
        let as_expected = || async {
            let before = stand.frontdoor.log().len();
            let options = [VERBOSE, "-oExitOnForwardFailure=yes", "-R", &forward];
            let said = said(&client, &options, "demo").await;
            let log = stand.frontdoor.log();
            let logged = log.get(before..).unwrap_or_default().join("\n");
            (logged.contains(expect) && shows(&said, expect)).then_some(())
        };
        let what = format!("{options} {port}: {expect}");
        eventually(&what, SOON, as_expected).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_on_the_nodes_network_do_not_listen_unless_they_are_allowed() {
    use podgate_tests::fixtures::stand::{NODE, NODE_IP};
    use podgate_tests::stand_ins::cluster::pod;
    for (lines, words) in [
        ("", "the pod shares its node's network"),
        ("forwards: {hostNetwork: true}\n", "needs the node entry"),
    ] {
        let stand = stand(lines).await;
        let shared = pod("default", "host", "host-uid", NODE, NODE_IP).host_network();
        stand.cluster.add(shared.container("main", "demo"));
        let options = ["-N", "-oExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"];
        let output = stand.client.ssh(&options, "host").output().await.unwrap();
        assert!(!output.status.success());
        refused_with(&stand, words).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_and_their_connections_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("frontdoor");
    let audit = format!("audit: {{to: '{}'}}\n", path.display());
    let node = Node::start(PodSpec::busybox("bb"), &audit).await;
    let server = Upper::start().await.unwrap();
    let (ssh, port) = remote(&node, "localhost", server.port()).await;
    assert_eq!(node.ask(V4, port, b"hello").await.unwrap(), b"HELLO");
    let events = async |count| {
        let find = || async {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines();
            let events = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let events: Vec<_> = events.filter(|event| event["action"] == "listen").collect();
            (events.len() == count).then_some(events)
        };
        let what = format!("{count} events");
        eventually(&what, SOON, find).await.unwrap()
    };
    // The connection is over before the client goes.
    events(3).await;
    drop(ssh);
    let events = events(4).await;
    let [listens, comes, goes, ends] = &*events else {
        panic!("{events:?}");
    };
    for (event, kind) in [
        (listens, "start"),
        (comes, "start"),
        (goes, "end"),
        (ends, "end"),
    ] {
        assert_eq!(
            (&event["event"], &event["pod"]),
            (&kind.into(), &"bb".into())
        );
    }
    assert_eq!(listens["address"], "localhost:0");
    assert_eq!(listens.get("originator"), None);
    assert_eq!(comes["address"], format!("localhost:{port}"));
    let originator = comes["originator"].as_str().unwrap();
    assert!(originator.starts_with("127.0.0.1:"), "{originator}");
    assert_eq!(
        (&goes["session"], &goes["outcome"]),
        (&comes["session"], &"closed".into())
    );
    assert_eq!(
        (&goes["inputBytes"], &goes["outputBytes"]),
        (&5.into(), &5.into())
    );
    assert_eq!(ends["session"], listens["session"]);
}
