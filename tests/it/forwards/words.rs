//! Why a connection cannot be opened, in words that ssh shows; and a client that waits is not left waiting.

use std::net::SocketAddr;
use std::path::Path;

use podgate_tests::fixtures::images::Image;
use podgate_tests::real::containerd::{ContainerSpec, PodSpec, RunningPod, Seccomp};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream, UnixStream};

use super::node::Node;
use super::*;

/// For what needs no waiting: far less than any time-out.
const AT_ONCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_route_is_named_so() {
    let node = Node::start(PodSpec::busybox("bb"), "").await;
    // Nobody has this address in the pod's own network.
    let nobody = node.bridge.place(200).address;
    let expect = "connect failed: no route to host";
    node.refuses(&format!("{nobody}:80"), expect).await;
    let pid = node.pod.pid("app").await.unwrap();
    let network = format!("--net=/proc/{pid}/ns/net");
    let removed = Command::new("nsenter")
        .args([network.as_str(), "ip", "route", "del", "default"])
        .status();
    assert!(removed.await.unwrap().success());
    let expect = "connect failed: network is unreachable";
    node.refuses("192.0.2.1:80", expect).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_never_answers_is_given_up() {
    let node = Node::start(PodSpec::busybox("bb"), "").await;
    let socket = TcpSocket::new_v4().unwrap();
    let any = format!("{}:0", node.bridge.gateway()).parse().unwrap();
    socket.bind(any).unwrap();
    // Once its queue is full, the system drops whatever comes.
    let listener = socket.listen(0).unwrap();
    let full = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_secs(2), TcpStream::connect(full)).await {
        queued.push(stream);
    }
    let expect = "connect failed: connection timed out";
    node.refuses(&full.to_string(), expect).await;
}

/// A pod whose own filter kills whoever makes this call.
async fn killing(node: &Node, folder: &Path, name: &str, call: &str) -> RunningPod {
    let profile = serde_json::json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": [call], "action": "SCMP_ACT_KILL_PROCESS"}],
    });
    let path = folder.join(name);
    std::fs::write(&path, profile.to_string()).unwrap();
    let mut app = ContainerSpec::new("app", Image::Bash);
    app.security.seccomp = Seccomp::Localhost(path);
    let spec = PodSpec::new(name).own_network().container(app);
    node.stand.run_pod(spec).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_is_named_so_and_is_no_file_server() {
    let (node, folder) = (
        Node::start(PodSpec::busybox("bb"), "").await,
        tempfile::tempdir().unwrap(),
    );
    let told = async |pod: &RunningPod, address: &str, expect: &str| {
        let said = refused(&node.stand, &pod.name, address).await;
        assert!(said.contains(expect), "{}: {said}", pod.name);
        assert!(!said.contains("file server"), "{}: {said}", pod.name);
    };
    // When it is to connect, each time anew.
    let connects = killing(&node, folder.path(), "connects", "connect").await;
    let expect = "connect failed: Podgate's program in the container has ended";
    told(&connects, "127.0.0.1:80", expect).await;
    // Before it serves: there is the kubelet, for what it reaches.
    let starts = killing(&node, folder.path(), "starts", "seccomp").await;
    let ended = "Podgate's program in the container was ended by signal 31, as where the container forbids it \
        what it needs";
    let kubelet = "on the pod's node only 127.0.0.1 and localhost of the pod can be reached";
    let expect = format!("connect failed: {kubelet}: {ended}");
    told(&starts, "10.0.0.1:80", &expect).await;
    // It stands in for no listener.
    let options = [VERBOSE, "-oExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"];
    let expect = format!(
        "Remote: podgate: localhost:0 does not listen in the pod: nothing can listen in the container: {ended}"
    );
    let said = said(&node.stand.client, &options, "starts").await;
    assert!(said.contains(&expect), "{said}");
    node.stand.until_quiet(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_v_says_why_nothing_listens() {
    let node = Node::start(PodSpec::busybox("bb"), "").await;
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let other = node.pod.listen(loopback).await.unwrap();
    let taken = other.local_addr().unwrap().port();
    for (at, expect) in [
        (
            taken.to_string(),
            format!(
                "localhost:{taken} does not listen in the pod: 127.0.0.1:{taken}: address already in use"
            ),
        ),
        (
            "/none/s".to_owned(),
            "/none/s does not listen in the pod: /none/s: no such file or directory".to_owned(),
        ),
    ] {
        let forward = format!("{at}:127.0.0.1:1");
        let options = [VERBOSE, "-oExitOnForwardFailure=yes", "-R", &forward];
        let said = said(&node.stand.client, &options, "bb").await;
        let expect = format!("debug1: Remote: podgate: {expect}");
        assert!(said.contains(&expect), "{said}");
    }
}

/// Whoever has connected to the client's port or socket sees the end, and the next connection works.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_ends_the_clients_own_connection() {
    let node = Node::start(PodSpec::bash("deb"), "").await;
    let (_server, port) = node.upper().await;
    let gateway = node.bridge.gateway();
    std::fs::write(node.file("/file").await, "").unwrap();
    let local = |name: &str| node.stand.dir().join(name);
    let forward = |name: &str, leads: &str| format!("{}:{leads}", local(name).display());
    let forwards = [
        forward("none", "/none.sock"),
        forward("file", "/file"),
        forward("tcp", "127.0.0.1:1"),
        forward("works", &format!("{gateway}:{port}")),
    ];
    let mut options = vec!["-N", "-oExitOnForwardFailure=yes"];
    options.extend(forwards.iter().flat_map(|leads| ["-L", leads]));
    let _ssh = node.stand.client.ssh(&options, "deb").spawn().unwrap();
    let works = || async {
        let mut stream = UnixStream::connect(local("works")).await.ok()?;
        stream.write_all(b"hi").await.ok()?;
        stream.shutdown().await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        (answer == b"HI").then_some(())
    };
    eventually("ssh", SOON, works).await.unwrap();
    for name in ["none", "file", "tcp"] {
        for ends in [true, false] {
            let mut stream = UnixStream::connect(local(name)).await.unwrap();
            if ends {
                // It may have been closed by now.
                let _ = stream.shutdown().await;
            }
            let mut answer = Vec::new();
            let read = timeout(AT_ONCE, stream.read_to_end(&mut answer)).await;
            let _ =
                read.unwrap_or_else(|_| panic!("{name}, {ends}: the client's socket stays open"));
            assert!(answer.is_empty(), "{name}");
        }
        assert!(works().await.is_some(), "after {name}");
    }
}
