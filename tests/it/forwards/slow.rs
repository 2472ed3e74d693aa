//! A listener that is slow to stand: what of its connection waits for it, and what does not.

use podgate_tests::instruments::client::{Login, Session};
use podgate_tests::instruments::program::Input;
use podgate_tests::real::containerd::PodSpec;
use rustix::process::{Pid, Signal, kill_process};

use super::node::Node;
use super::*;

/// A node entry that does not answer until this is dropped.
struct Stopped([u32; 2]);

impl Stopped {
    fn new(node: &Node) -> Self {
        let stopped = Self(node.stand.entry.as_ref().unwrap().pids().unwrap());
        stopped.signal(Signal::STOP);
        stopped
    }

    fn signal(&self, signal: Signal) {
        for pid in self.0 {
            kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
    }
}

async fn echoes(shell: &mut Session, line: &str) {
    let line = format!("{line}\n");
    shell.input.write(line.clone().into()).await.unwrap();
    shell.until(&line).await.unwrap();
}

/// The answer to a later request, a keepalive, comes after it all the same (RFC 4254 §4): a client takes the
/// first answer for that of its first request.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_shell_goes_on_and_answers_keep_their_order() {
    let node = Node::start(PodSpec::busybox("bb"), "").await;
    let login = Login::to(&node.stand, "bb").unwrap();
    let connection = login.connect().await.unwrap();
    let mut shell = connection.exec("exec cat").await.unwrap();
    echoes(&mut shell, "first").await;
    // On a busy machine the agent may give up before the line is back.
    for round in 0..5 {
        let line = format!("round {round}");
        let stopped = Stopped::new(&node);
        let mut asked = std::pin::pin!(async {
            tokio::join!(connection.listen("localhost", 0), connection.ping())
        });
        let goes_on = tokio::select! {
            biased;
            _ = &mut asked => false,
            () = echoes(&mut shell, &line) => true,
        };
        drop(stopped);
        if goes_on && let (Ok(port), Ok(())) = timeout(SOON, asked).await.unwrap() {
            assert_ne!(port, 0);
            return;
        }
    }
    panic!("the shell waited for the listener");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_finds_the_listeners_that_were_asked_for_before_it() {
    let lines = "authorization: {allowedSeconds: 600}\n";
    let node = Node::start(PodSpec::bash("deb"), lines).await;
    let client = &node.stand.client;
    // From now on its right to run programs is known, and the session would begin at once.
    let known = client.run(&[], "deb", "true").await.unwrap();
    assert!(known.status.success(), "{known:?}");
    node.stand.api.set_delay(Duration::from_millis(500));
    let port = free_port().await;
    let forward = format!("{port}:127.0.0.1:1");
    let options = ["-oExitOnForwardFailure=yes", "-R", &forward];
    let command = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo there");
    let output = client.run(&options, "deb", &command).await.unwrap();
    assert_eq!(output.stdout, b"there\n", "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_made_at_a_time_and_cancelled_in_order() {
    let node = Node::start(PodSpec::busybox("bb"), "").await;
    let server = Upper::start().await.unwrap();
    let ports: Vec<_> = futures_util::future::join_all((0..10).map(|_| free_port())).await;
    let leads: Vec<_> = ports
        .iter()
        .map(|port| format!("{port}:127.0.0.1:{}", server.port()))
        .collect();
    let shared = node.stand.client.share("bb").await.unwrap();
    let control = async |command: &str| {
        let mut options = vec![shared.option.as_str(), "-O", command];
        options.extend(leads.iter().flat_map(|leads| ["-R", leads]));
        let output = timeout(SOON, node.stand.client.ssh(&options, "bb").output()).await;
        output.unwrap().unwrap().status.success()
    };
    for _ in 0..2 {
        assert!(control("forward").await);
        let counts = ["podgate_frontdoor_listeners_active 10"];
        node.stand.frontdoor.counts(SOON, &counts).await.unwrap();
        assert!(control("cancel").await);
    }
    let counts = ["podgate_frontdoor_listeners_active 0"];
    node.stand.frontdoor.counts(SOON, &counts).await.unwrap();
}
