//! `ssh -R` to unix sockets: in the container's files, as its user, and gone at the end.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use podgate_tests::fixtures::images::Image;
use podgate_tests::real::containerd::{ContainerSpec, PodSpec};
use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::node::Node;
use super::*;

/// A pod whose user is not root.
fn spec() -> PodSpec {
    let app = ContainerSpec::new("app", Image::Bash).user(1000);
    PodSpec::new("deb").container(app)
}

async fn asked(path: &Path, text: &[u8]) -> Option<Vec<u8>> {
    let mut stream = UnixStream::connect(path).await.ok()?;
    let ask = async {
        stream.write_all(text).await.ok()?;
        stream.shutdown().await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        Some(answer)
    };
    timeout(SOON, ask).await.unwrap()
}

async fn until_gone(path: &Path) {
    let gone = || async { (!path.exists()).then_some(()) };
    eventually("no socket", SOON, gone).await.unwrap();
}

/// An `ssh -N -R` of a path of the container, once it answers.
async fn remote(node: &Node, path: &str, to: u16) -> Child {
    let forward = format!("{path}:127.0.0.1:{to}");
    let options = ["-N", "-oExitOnForwardFailure=yes", "-R", &forward];
    let file = node.file(path).await;
    let begin = || async {
        let mut ssh = node.stand.client.ssh(&options, "deb").spawn().unwrap();
        let up = || async { asked(&file, b"up").await.filter(|answer| answer == b"UP") };
        let up = eventually("the socket", SOON, up);
        let up = tokio::select! {
            _ = ssh.wait() => false,
            up = up => up.is_ok(),
        };
        up.then_some(ssh)
    };
    eventually("a listener", SOON, begin).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_the_container_leads_to_the_clients_machine() {
    let node = Node::start(spec(), "").await;
    let server = Upper::start().await.unwrap();
    let file = node.file("/tmp/up.sock").await;
    let ssh = remote(&node, "/tmp/up.sock", server.port()).await;
    let found = std::fs::metadata(&file).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o600, 1000));
    let text = vec![b'a'; 3_000_000];
    let answer = asked(&file, &text).await.unwrap();
    assert!(answer == text.to_ascii_uppercase());
    drop(ssh);
    until_gone(&file).await;

    let shared = node.stand.client.share("deb").await.unwrap();
    let forward = format!("/tmp/up.sock:127.0.0.1:{}", server.port());
    for _ in 0..2 {
        for command in ["forward", "cancel"] {
            let options = [shared.option.as_str(), "-O", command, "-R", &forward];
            let output = node.stand.client.ssh(&options, "deb").output();
            let output = timeout(SOON, output).await.unwrap().unwrap();
            assert!(output.status.success(), "{command}: {output:?}");
            match command {
                "forward" => assert!(file.exists()),
                _ => until_gone(&file).await,
            }
        }
    }
    drop(shared);
    node.stand.until_quiet(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_not_replaced_unless_it_may_be() {
    let server = Upper::start().await.unwrap();
    let forward = format!("/tmp/up.sock:127.0.0.1:{}", server.port());
    for (lines, replaced) in [("", false), ("forwards: {unlinkSockets: true}\n", true)] {
        let node = Node::start(spec(), lines).await;
        // A file, and a dead socket of somebody else's.
        std::fs::write(node.file("/tmp/file").await, "").unwrap();
        let file = node.file("/tmp/up.sock").await;
        drop(std::os::unix::net::UnixListener::bind(&file).unwrap());
        std::os::unix::fs::chown(&file, Some(1000), Some(1000)).unwrap();
        let other = format!("/tmp/file:127.0.0.1:{}", server.port());
        let kept = if replaced {
            let _ssh = remote(&node, "/tmp/up.sock", server.port()).await;
            vec![&other]
        } else {
            vec![&forward, &other]
        };
        for forward in kept {
            let options = ["-N", "-oExitOnForwardFailure=yes", "-R", forward];
            let output = node.stand.client.ssh(&options, "deb").output();
            let output = timeout(SOON, output).await.unwrap().unwrap();
            assert!(!output.status.success(), "{output:?}");
        }
        remote::refused_with(&node.stand, "/tmp/file: address already in use")
            .await
            .unwrap();
        let there = std::fs::metadata(node.file("/tmp/file").await).unwrap();
        assert!(there.is_file());
        assert!(replaced || file.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_cannot_be_made_has_its_words() {
    let node = Node::start(spec(), "").await;
    for (path, words) in [
        ("/up.sock", "/up.sock: permission denied"),
        ("/gone/up.sock", "/gone/up.sock: no such file or directory"),
    ] {
        let forward = format!("{path}:127.0.0.1:1");
        let options = ["-N", "-oExitOnForwardFailure=yes", "-R", &forward];
        let output = node.stand.client.ssh(&options, "deb").output();
        let output = timeout(SOON, output).await.unwrap().unwrap();
        assert!(!output.status.success(), "{output:?}");
        remote::refused_with(&node.stand, words).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_gone_with_whoever_dies() {
    let server = Upper::start().await.unwrap();
    for dies in ["client", "worker", "frontdoor", "agent"] {
        let node = Node::start(spec(), "").await;
        let file = node.file("/tmp/up.sock").await;
        let ssh = remote(&node, "/tmp/up.sock", server.port()).await;
        match dies {
            "client" => drop(ssh),
            "worker" => {
                let command = "pkill -KILL podgate-worker && echo killed";
                let killed = node.stand.client.run(&[], "deb", command).await.unwrap();
                assert_eq!(killed.stdout, b"killed\n", "{killed:?}");
                // The socket is the agent's.
                assert_eq!(asked(&file, b"hi").await.unwrap(), b"HI");
                drop(ssh);
            }
            "frontdoor" => node.stand.frontdoor.signal(Signal::KILL).unwrap(),
            _ => node.stand.agent.signal(Signal::KILL).unwrap(),
        }
        until_gone(&file).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_has_left_is_replaced_by_the_next() {
    let mut node = Node::start(spec(), "").await;
    let server = Upper::start().await.unwrap();
    let file = node.file("/tmp/up.sock").await;
    let ssh = remote(&node, "/tmp/up.sock", server.port()).await;
    let command = "pkill -KILL podgate-worker && echo killed";
    let killed = node.stand.client.run(&[], "deb", command).await.unwrap();
    assert_eq!(killed.stdout, b"killed\n", "{killed:?}");
    node.stand.agent.signal(Signal::KILL).unwrap();
    node.stand.agent.ended().await.unwrap();
    drop(ssh);
    assert!(asked(&file, b"hi").await.is_none() && file.exists());
    node.stand.restart_agent().await.unwrap();
    let ssh = remote(&node, "/tmp/up.sock", server.port()).await;
    drop(ssh);
    until_gone(&file).await;
}
