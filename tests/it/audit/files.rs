//! What a session does with files has an event a file, or one event of many.

use podgate_tests::fixtures::stand::{Changes, Stand};
use serde_json::{Value, json};

use super::Records;

/// Of 100,000 bytes of 7.
const SHA256: &str = "2c4b101169bf328cd4a882e640a8b57eb3acf76518b3d105869905cf629e791c";

/// Runs a program of OpenSSH, which must succeed.
async fn run(stand: &Stand, program: &str, words: &[&str]) {
    let output = stand.client.tool(program).args(words).output().await;
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_is_recorded() {
    let records = Records::new();
    let changes = Changes {
        frontdoor: records.to("frontdoor", "") + "fileSha256: true\n",
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let local = tempfile::tempdir().unwrap();
    let path = |name: &str| local.path().join(name).display().to_string();
    std::fs::write(path("here"), vec![7; 100_000]).unwrap();
    let (here, there, moved, old, back) = (
        path("here"),
        path("there"),
        path("moved"),
        path("old"),
        path("back"),
    );
    let batch =
        format!("put {here} {there}\nget {there} {back}\nrename {there} {moved}\nrm {moved}\n");
    std::fs::write(path("batch"), batch).unwrap();
    let (batch, target) = (path("batch"), stand.client.address("demo"));
    run(&stand, "sftp", &["-b", &batch, &target]).await;
    run(&stand, "scp", &["-O", &here, &format!("{target}:{old}")]).await;
    run(&stand, "scp", &["-O", &format!("{target}:{old}"), &back]).await;

    let event = |path: &str, direction: &str, bytes: u64| {
        json!({
            "event": "file", "action": "files", "user": "ada", "pod": "demo", "path": path,
            "direction": direction, "fileBytes": bytes, "outcome": "done",
            "sha256": (bytes > 0).then_some(SHA256),
        })
    };
    let shown = format!("{old} here");
    let renamed = format!("{there} -> {moved}");
    for expect in [
        event(&there, "write", 100_000),
        event(&there, "read", 100_000),
        event(&renamed, "rename", 0),
        event(&moved, "remove", 0),
        event(&shown, "write", 100_000),
        event(&old, "read", 100_000),
    ] {
        let event = records.wait("frontdoor", expect).await;
        assert!(event["durationMs"].is_u64() && event["session"].is_string());
    }
    let start = json!({"event": "start", "action": "files", "command": format!("scp -t {old}")});
    records.wait("frontdoor", start).await;
    let end = json!({"event": "end", "action": "files", "exitStatus": 0});
    records.wait("frontdoor", end).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_stop_no_session() {
    let records = Records::new();
    let changes = Changes {
        frontdoor: records.to("frontdoor", ""),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let local = tempfile::tempdir().unwrap();
    let (from, to) = (local.path().join("from"), local.path().join("to"));
    std::fs::create_dir(&from).unwrap();
    for n in 0..2000 {
        std::fs::write(from.join(n.to_string()), "x").unwrap();
    }
    let target = format!("{}:{}", stand.client.address("demo"), to.display());
    run(&stand, "scp", &["-r", &from.display().to_string(), &target]).await;
    records.wait("frontdoor", json!({"event": "end"})).await;
    let all = records.read("frontdoor");
    let count = |field: &str| -> u64 { all.iter().filter_map(|event| event[field].as_u64()).sum() };
    let is = |event: &&Value, kind: &str| event["event"] == kind;
    let own = all.iter().filter(|event| is(event, "file")).count() as u64;
    assert_eq!(own + count("files"), 2000);
    assert_eq!((count("fileBytes"), count("failedFiles")), (2000, 0));
    assert!(own < 1500, "{own} events of their own");
}
