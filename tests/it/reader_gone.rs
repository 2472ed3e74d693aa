//! The reader of a session's output goes, as in `ssh pod yes | head -1`: the client says so, the program gets
//! the signal of a closed pipe when it writes, and ssh ends.

use std::process::Stdio;
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::real::containerd::PodSpec;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// Reads one line of a command's output, and goes. Returns the line and ssh's status.
async fn head(stand: &Stand, target: &str, command: &str) -> (String, Option<i32>) {
    let mut ssh = stand.client.ssh(&[], target);
    let ssh = ssh.arg(command).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut ssh = ssh.kill_on_drop(true).spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(ssh.stdout.take().unwrap());
    let read = output.read_line(&mut line);
    timeout(SOON, read).await.expect("it says nothing").unwrap();
    drop(output);
    let ended = timeout(SOON, ssh.wait()).await;
    let ended = ended
        .unwrap_or_else(|_| panic!("{command} goes on"))
        .unwrap();
    (line, ended.code())
}

/// A program that writes as much as it can, one that writes now and then, and one that checks whether
/// its writing succeeded.
async fn ends(stand: &Stand, target: &str) {
    // SIGPIPE.
    let piped = Some(stand.killed_by(13));
    let endless = "exec yes";
    assert_eq!(head(stand, target, endless).await, ("y\n".into(), piped));
    let now_and_then = "while :; do echo x; sleep 0.3; done";
    assert_eq!(
        head(stand, target, now_and_then).await,
        ("x\n".into(), piped)
    );
    let handles = "trap 'exit 7' PIPE; while :; do echo x; sleep 0.1; done";
    assert_eq!(head(stand, target, handles).await, ("x\n".into(), Some(7)));
    // A program that writes no more is not disturbed.
    let quiet = "echo x; echo x; sleep 2; exit 8";
    assert_eq!(head(stand, target, quiet).await, ("x\n".into(), Some(8)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_plain_process() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    ends(&stand, "demo").await;
    stand.embedded.as_ref().unwrap().until_running(0).await;
}

async fn of_a_container(helper: bool) {
    let changes = Changes {
        helper,
        ..Changes::default()
    };
    let stand = Stand::containerd(changes).await.unwrap();
    let _pods = [
        stand.run_pod(PodSpec::busybox("bb")).await.unwrap(),
        stand.run_pod(PodSpec::bash("deb")).await.unwrap(),
    ];
    for pod in ["bb", "deb"] {
        ends(&stand, pod).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_container_by_the_image() {
    of_a_container(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_container_by_the_helper() {
    of_a_container(true).await;
}
