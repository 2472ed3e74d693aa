//! An audit log that is moved away, that cannot be written, or whose reader takes nothing.

use std::process::Stdio;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::client::Login;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::program::Input as _;
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;

use super::{Records, SOON};

const DENIED: &str =
    "podgate: this frontdoor cannot write its audit log, so it starts no session\r\n";

fn fails(line: &serde_json::Value) -> bool {
    line["message"] == "the audit log cannot be written"
}

/// Runs a command. Returns its stdout, or the error that was printed.
async fn says(stand: &Stand, command: &str) -> Result<Vec<u8>, String> {
    let output = stand.client.run(&[], "demo", command).await.unwrap();
    match output.status.code() {
        Some(0) => Ok(output.stdout),
        _ => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_enters_while_it_cannot_be_written() {
    let records = Records::new();
    let changes = Changes {
        frontdoor: records.to("log", ""),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let mut ssh = stand.client.ssh(&[], "demo");
    let mut running = ssh
        .arg("cat; exit 4")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    records
        .wait("log", json!({"event": "start", "command": "cat; exit 4"}))
        .await;

    // If the file is moved away, a new one is made, and no line goes to the wrong one.
    std::fs::rename(records.path("log"), records.path("log.1")).unwrap();
    assert_eq!(says(&stand, "echo moved").await.unwrap(), b"moved\n");
    let end = json!({"event": "end", "command": "echo moved"});
    records.wait("log", end).await;
    assert_eq!(records.read("log.1").len(), 2);
    assert_eq!(records.read("log").len(), 3);

    std::fs::remove_file(records.path("log")).unwrap();
    std::fs::create_dir(records.path("log")).unwrap();
    // The first login may come too early for the failure to be noticed.
    let _ = says(&stand, "true").await;
    stand.frontdoor.wait_log(SOON, fails).await.unwrap();
    assert_eq!(says(&stand, "echo ran").await.unwrap_err(), DENIED);
    // A user with a running session does not notice.
    let mut line = String::new();
    let mut stdout = BufReader::new(running.stdout.take().unwrap());
    let stdin = running.stdin.as_mut().unwrap();
    stdin.write_all(b"still\n").await.unwrap();
    stdout.read_line(&mut line).await.unwrap();
    assert_eq!(line, "still\n");
    drop(running.stdin.take());
    assert_eq!(running.wait().await.unwrap().code(), Some(4));
    assert_eq!(says(&stand, "echo ran").await.unwrap_err(), DENIED);

    std::fs::remove_dir(records.path("log")).unwrap();
    let again = |line: &serde_json::Value| line["message"] == "the audit log is written again";
    stand.frontdoor.wait_log(SOON, again).await.unwrap();
    assert_eq!(says(&stand, "echo ran").await.unwrap(), b"ran\n");
    // The lines that waited are there, too.
    for event in [
        json!({"event": "refusal", "by": "audit", "command": "echo ran"}),
        json!({"event": "end", "command": "cat; exit 4", "exitStatus": 4}),
        json!({"event": "end", "command": "echo ran", "outcome": "exited"}),
    ] {
        records.wait("log", event).await;
    }
    let (_, metrics) = stand.frontdoor.admin("/metrics").await.unwrap();
    assert!(!metrics.contains("outcome=\"lost\""), "{metrics}");
    let said = stand.frontdoor.log();
    let said = said
        .iter()
        .filter(|line| line.contains("cannot be written"));
    assert_eq!(said.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_may_be_lost_sessions_go_on() {
    let full = "audit: {to: /dev/full, onFailure: continue}\n";
    let changes = Changes {
        frontdoor: full.into(),
        agent: full.into(),
        ..Changes::default()
    };
    let mut stand = Stand::embedded(changes).await.unwrap();
    for _ in 0..2 {
        assert_eq!(says(&stand, "echo ran").await.unwrap(), b"ran\n");
    }
    stand.frontdoor.wait_log(SOON, fails).await.unwrap();
    stand.agent.wait_log(SOON, fails).await.unwrap();
    // Two logins, starts and ends.
    stand.frontdoor.signal(Signal::TERM).unwrap();
    let lost = |line: &serde_json::Value| {
        line["message"] == "events are lost to the audit log" && line["lost"] == 6
    };
    stand.frontdoor.wait_log(SOON, lost).await.unwrap();
    assert!(stand.frontdoor.ended().await.unwrap().success());
    stand.agent.signal(Signal::TERM).unwrap();
    assert!(stand.agent.ended().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_record_honours_nothing() {
    let changes = Changes {
        agent: "audit: {to: /dev/full, onFailure: deny}\n".into(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let _ = says(&stand, "true").await;
    stand.agent.wait_log(SOON, fails).await.unwrap();
    assert_eq!(
        says(&stand, "echo ran").await.unwrap_err(),
        "podgate: the agent on the pod's node cannot write its audit log, so it starts no session\r\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_nobody_takes_blocks_no_session() {
    let records = Records::new();
    let path = records.path("pipe");
    let made = tokio::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.await.unwrap().success());
    // A FIFO that is open both ways opens at once, and nobody reads it.
    let reader = pipe::OpenOptions::new()
        .read_write(true)
        .open_receiver(&path);
    let mut reader = reader.unwrap();
    let changes = Changes {
        frontdoor: records.to("pipe", ", queueBytes: 131072"),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let connection = Login::to(&stand, "demo").unwrap().connect().await.unwrap();
    let mut running = connection.exec("cat").await.unwrap();
    // JSON writes each of these bytes as six, and a session has two lines.
    let long = format!(": '{}'; echo ran", "\u{1}".repeat(4000));
    let mut entered = 0;
    loop {
        let session = connection.exec(&long).await.unwrap();
        let (said, _) = session.wait().await.unwrap();
        if said == DENIED.as_bytes() {
            break;
        }
        assert_eq!(said, b"ran\n");
        entered += 1;
        assert!(entered < 50, "nothing fills it");
    }
    assert!(entered > 0);
    running.input.write("still\n".into()).await.unwrap();
    running.until("still\n").await.unwrap();
    let lost = "podgate_frontdoor_audit_events_total{outcome=\"lost\"}";
    let counted = || async {
        let (_, metrics) = stand.frontdoor.admin("/metrics").await.ok()?;
        metrics.contains(lost).then_some(())
    };
    eventually("a loss that is counted", SOON, counted)
        .await
        .unwrap();

    // Once the log is read, users can log in again.
    let read = async {
        let mut bytes = vec![0; 65536];
        while reader.read(&mut bytes).await.unwrap() > 0 {}
    };
    let enters = async {
        let enter = || async { says(&stand, "echo ran").await.ok() };
        eventually("a session", SOON, enter).await.unwrap()
    };
    tokio::select! {
        () = read => panic!("the pipe has ended"),
        ran = enters => assert_eq!(ran, b"ran\n"),
    }
}
