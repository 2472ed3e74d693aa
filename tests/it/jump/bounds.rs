//! What jumps may use up, and that nothing is left of them.

use std::cell::Cell;
use std::process::Stdio;

use podgate_tests::instruments::eventually::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::time::timeout;

use super::{Jumper, SOON, stand};

/// Lines by which all jumps go through one outer connection. When a client of this connection is killed,
/// OpenSSH's master (9.2) may close the client's channel only when something else wakes it.
fn shared(stand: &podgate_tests::fixtures::stand::Stand) -> String {
    format!(
        "  ControlPath {}/outer\n  ServerAliveInterval 1\n  ServerAliveCountMax 1000\n",
        stand.dir().display()
    )
}

/// The outer connection; it ends on drop.
async fn master(jumper: &Jumper) -> Child {
    let master = jumper.ssh(&["-M", "-N", "frontdoor"]).spawn().unwrap();
    let path = jumper.dir.join("outer");
    let there = || async { path.exists().then_some(()) };
    eventually("the outer connection", SOON, there)
        .await
        .unwrap();
    master
}

#[tokio::test(flavor = "multi_thread")]
async fn jumps_are_channels_of_their_connection_and_their_sessions_are_their_users() {
    let stand = stand("limits: {channelsPerConnection: 3, sessionsPerUser: 2}\n").await;
    let jumper = Jumper::new(&stand, &shared(&stand));
    let _master = master(&jumper).await;
    let sessions = [jumper.echo().await, jumper.echo().await];
    let line = "you have reached the limit of sessions per user";
    let text = jumper.refused(&["demo.pod", "echo ran"]).await;
    assert!(text.contains(line), "{text}");
    // A third jump stands, without a session. A fourth is refused.
    let mut idle = jumper.ssh(&["-N", "demo.pod"]).spawn().unwrap();
    let three = [
        "podgate_frontdoor_jumps 3",
        "podgate_frontdoor_connections 1",
    ];
    stand.frontdoor.counts(SOON, &three).await.unwrap();
    jumper.refused(&["demo.pod", "echo ran"]).await;
    let refused = ["podgate_frontdoor_refused_total{limit=\"channelsPerConnection\"} 1"];
    stand.frontdoor.counts(SOON, &refused).await.unwrap();
    idle.kill().await.unwrap();
    let two = ["podgate_frontdoor_jumps 2"];
    stand.frontdoor.counts(SOON, &two).await.unwrap();
    for mut session in sessions {
        session.close();
        let (text, status) = session.ended().await.unwrap();
        assert_eq!(status, Some(0), "{text}");
    }
    let none = [
        "podgate_frontdoor_jumps 0",
        "podgate_frontdoor_connections 1",
    ];
    stand.frontdoor.counts(SOON, &none).await.unwrap();
    assert_eq!(jumper.prints(&["demo.pod", "echo works"]).await, "works\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn jumps_log_in_within_the_bounds_of_all_logins() {
    let stand = stand("limits: {startsPerAddress: 1}\n").await;
    let jumper = Jumper::new(&stand, &shared(&stand));
    let _master = master(&jumper).await;
    // One that does not log in.
    let mut first = jumper.ssh(&["-W", "demo:22", "frontdoor"]);
    let mut first = first.stdin(Stdio::piped()).spawn().unwrap();
    let one = ["podgate_frontdoor_jumps 1"];
    stand.frontdoor.counts(SOON, &one).await.unwrap();
    jumper.refused(&["demo.pod", "echo ran"]).await;
    let refused = ["podgate_frontdoor_refused_total{limit=\"startsPerAddress\"} 1"];
    stand.frontdoor.counts(SOON, &refused).await.unwrap();
    first.kill().await.unwrap();
    let none = ["podgate_frontdoor_jumps 0"];
    stand.frontdoor.counts(SOON, &none).await.unwrap();
    assert_eq!(jumper.prints(&["demo.pod", "echo works"]).await, "works\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_is_a_connection_of_its_user_before_anybody_logs_in_inside() {
    let stand = stand("limits: {connectionsPerUser: 2}\n").await;
    let jumper = Jumper::new(&stand, &shared(&stand));
    let _master = master(&jumper).await;
    // One that does not log in.
    let mut first = jumper.ssh(&["-W", "demo:22", "frontdoor"]);
    let mut first = first.stdin(Stdio::piped()).spawn().unwrap();
    let one = ["podgate_frontdoor_jumps 1"];
    stand.frontdoor.counts(SOON, &one).await.unwrap();
    let text = jumper.refused(&["demo.pod", "echo ran"]).await;
    assert!(!text.contains("podgate: "), "a session was begun: {text}");
    let refused = ["podgate_frontdoor_refused_total{limit=\"connectionsPerUser\"} 1"];
    stand.frontdoor.counts(SOON, &refused).await.unwrap();
    first.kill().await.unwrap();
    let none = ["podgate_frontdoor_jumps 0"];
    stand.frontdoor.counts(SOON, &none).await.unwrap();
    assert_eq!(jumper.prints(&["demo.pod", "echo works"]).await, "works\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_whose_client_stops_reading_holds_up_no_other() {
    const BYTES: usize = 64 * 1024 * 1024;
    let stand = stand("").await;
    let jumper = Jumper::new(&stand, &shared(&stand));
    let _master = master(&jumper).await;
    let mut download = jumper.ssh(&["demo.pod", "head -c 67108864 /dev/zero; exit 3"]);
    let mut download = download.spawn().unwrap();
    // Once its first bytes have come, all that fits has come; nobody reads it.
    let mut stdout = download.stdout.take().unwrap();
    let mut back = vec![0; 1];
    stdout.read_exact(&mut back).await.unwrap();
    assert_eq!(jumper.prints(&["demo.pod", "echo works"]).await, "works\n");
    let read = stdout.read_to_end(&mut back);
    timeout(SOON, read).await.expect("it hangs").unwrap();
    assert_eq!(
        (back.len(), download.wait().await.unwrap().code()),
        (BYTES, Some(3))
    );
    // An upload that nobody reads.
    let mut upload = jumper.ssh(&["demo.pod", "read line; sleep 7100"]);
    let mut upload = upload.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = upload.stdin.take().unwrap();
    let written = Cell::new(0);
    let uploading = async {
        let chunk = [b'\n'; 1024];
        while stdin.write_all(&chunk).await.is_ok() {
            written.set(written.get() + 1);
        }
    };
    // Until no more of it is taken while another session comes and goes.
    let others = async {
        loop {
            let before = written.get();
            assert_eq!(jumper.prints(&["demo.pod", "echo works"]).await, "works\n");
            if before > 0 && before == written.get() {
                break;
            }
        }
    };
    tokio::select! {
        () = uploading => panic!("the upload has ended"),
        () = others => {}
    }
    // It is killed in this state, and leaves nothing behind.
    upload.kill().await.unwrap();
    let jumps = [
        "podgate_frontdoor_jumps 0",
        "podgate_frontdoor_sessions_active 0",
    ];
    stand.frontdoor.counts(SOON, &jumps).await.unwrap();
    stand.embedded.as_ref().unwrap().until_running(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_nothing_is_left() {
    let stand = stand("workers: 1\n").await;
    let jumper = Jumper::new(&stand, &shared(&stand));
    let embedded = stand.embedded.as_ref().unwrap();
    let tasks = async || {
        let (_, metrics) = stand.frontdoor.admin("/metrics").await.unwrap();
        let line = metrics
            .lines()
            .find(|line| line.starts_with("podgate_frontdoor_tasks "));
        line.unwrap().to_owned()
    };
    let mut counted: Vec<String> = Vec::new();
    // The first round opens the connections to the agent, which stay.
    for _ in 0..3 {
        // The inner client alone, then the outer connection with two jumps in it.
        let mut outer = master(&jumper).await;
        jumper.echo().await.kill().await.unwrap();
        let none = ["podgate_frontdoor_jumps 0"];
        stand.frontdoor.counts(SOON, &none).await.unwrap();
        timeout(SOON, embedded.until_running(0)).await.unwrap();
        let _both = [jumper.echo().await, jumper.echo().await];
        outer.kill().await.unwrap();
        stand.until_quiet(SOON).await.unwrap();
        stand.frontdoor.counts(SOON, &none).await.unwrap();
        timeout(SOON, embedded.until_running(0)).await.unwrap();
        std::fs::remove_file(jumper.dir.join("outer")).unwrap();
        if let Some(before) = counted.get(1) {
            stand
                .frontdoor
                .counts(SOON, &[before.as_str()])
                .await
                .unwrap();
        }
        counted.push(tasks().await);
    }
}
