//! Sessions in which nothing is said, with a runtime that cuts silent streams (containerd's
//! `stream_idle_timeout`): they live on.

use std::process::Stdio;
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::real::containerd::{IDLE, PodSpec};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_with_a_short_idle_limit_cuts_no_session() {
    let stand = Stand::containerd(Changes::default()).await.unwrap();
    let _pod = stand.run_pod(PodSpec::busybox("bb")).await.unwrap();
    let longer = IDLE + 10;
    // The program itself waits until the limit is over.
    let silent = format!("sleep {longer}; echo here; exit 7");
    let run = |options: &'static [&'static str]| {
        let mut ssh = stand.client.ssh(options, "bb");
        ssh.arg(&silent)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = ssh.spawn().unwrap();
        // Its input stays open, and says nothing.
        let stdin = child.stdin.take();
        async move {
            let output = child.wait_with_output().await.unwrap();
            drop(stdin);
            output
        }
    };
    let both = async { tokio::join!(run(&[]), run(&["-tt"])) };
    let within = Duration::from_secs(longer + 30);
    let (command, terminal) = timeout(within, both).await.expect("they end");
    for output in [command, terminal] {
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim_end(), "here", "{output:?}");
    }
}
