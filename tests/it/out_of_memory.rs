//! A real container reaches its limit of memory, and the kernel kills it: what a session in it is told.

use std::process::Stdio;
use std::time::Duration;

use podgate_tests::fixtures::images::Image;
use podgate_tests::fixtures::stand::{Changes, NODE, NODE_IP, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::containerd::{ContainerSpec, PodSpec};
use podgate_tests::stand_ins::cluster::pod;
use tokio::io::{AsyncBufReadExt, BufReader};

const SOON: Duration = Duration::from_secs(30);
/// Bytes. What shells and runc need is a small part of it.
const LIMIT: i64 = 48 * 1024 * 1024;
/// Waits for a file, and then takes all memory: tail holds a line without an end.
const HUNGRY: &str = "until [ -e /tmp/eat ]; do sleep 0.1; done; exec tail -n 1 /dev/zero";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_told_that_its_container_was_killed() {
    let stand = Stand::containerd(Changes::default()).await.unwrap();
    let app = ContainerSpec::new("app", Image::Busybox)
        .argv(["sh", "-c", HUNGRY])
        .memory(LIMIT);
    let running = stand
        .run_pod(PodSpec::new("big").container(app))
        .await
        .unwrap();
    let mut ssh = stand.client.ssh(&[], "big");
    ssh.stdin(Stdio::piped()).stdout(Stdio::piped());
    ssh.stderr(Stdio::piped()).arg("echo up; exec cat");
    let mut session = ssh.spawn().unwrap();
    let mut stdout = BufReader::new(session.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).await.unwrap();
    assert_eq!(line, "up\n");

    let eat = stand.client.run(&[], "big", "touch /tmp/eat");
    let ended = async {
        let look = || async { running.end("app").await.unwrap() };
        let reason = eventually("the container's end", SOON, look).await.unwrap();
        assert_eq!(reason, "OOMKilled");
        // As the kubelet tells it.
        let id = running.container_id("app").unwrap();
        let known = pod("default", "big", &running.uid, NODE, NODE_IP);
        let known = known.container_ended_by("app", id, &reason);
        stand.cluster.replace(known.host_network());
    };
    // The container may be killed before this session has its status.
    let (_, ()) = tokio::join!(eat, ended);
    let output = tokio::time::timeout(SOON, session.wait_with_output());
    let output = output.await.expect("the session ends").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(0), "{said}");
    let words = "the container has reached its limit of memory";
    assert!(said.contains(words), "{:?} {said}", output.status);
    // And whoever comes now.
    let output = stand.client.run(&[], "big", "true").await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(255), "{said}");
    assert!(said.contains("container app is not running"), "{said}");
}
