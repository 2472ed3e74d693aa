//! A stand that records, and what its tests ask of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::ssh::Client;
use podgate_tests::stand_ins::apiserver::{Rbac, group, rule, user};
use serde_json::Value;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(30);

/// A stand whose sessions in all namespaces are recorded in a folder, and the folder, which the rules call
/// DIR. Its audit log is there, too.
pub(super) async fn stand(rules: &str) -> (Stand, TempDir) {
    stand_at(&format!("  store: file://DIR/store\n{rules}")).await
}

/// The same with a store of these lines.
pub(super) async fn stand_at(rules: &str) -> (Stand, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["store", "spool"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
    }
    let path = dir.path().display();
    let rules = rules.replace("DIR", &path.to_string());
    let frontdoor = format!("audit: {{to: '{path}/audit'}}\nrecordings:\n{rules}");
    let changes = Changes {
        frontdoor,
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let enter = rule(&["create"], &[""], &["pods/exec", "pods/portforward"]);
    let see = rule(&["list", "get", "update"], &["podgate.io"], &["recordings"]);
    let rbac = Rbac::default()
        .cluster_role("enter", &[enter])
        .cluster_role("see", &[see])
        .bind(
            "default",
            "dev",
            "ClusterRole/enter",
            &[group("dev"), user("bo")],
        )
        .bind("default", "audit", "ClusterRole/see", &[group("dev")]);
    stand.api.set_rbac(rbac);
    (stand, dir)
}

/// Runs a command of login name `podgate`: its status, stdout and stderr.
pub(super) async fn ask(client: &Client, command: &str) -> (Option<i32>, String, String) {
    let output = client.run(&[], "podgate", command).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The recordings that are ended, newest first, once there are so many.
pub(super) async fn list(client: &Client, count: usize) -> Vec<Value> {
    let listed = || async {
        let (status, lines, error) = ask(client, "recordings --json").await;
        assert_eq!(status, Some(0), "{error}");
        let entries = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let ended = entries.filter(|entry| !entry["end"].is_null());
        let ended: Vec<_> = ended.collect();
        (ended.len() == count).then_some(ended)
    };
    eventually("recordings", SOON, listed).await.unwrap()
}

pub(super) fn id(entry: &Value) -> String {
    entry["header"]["podgate"]["recording"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Events of the audit log.
pub(super) fn audit(dir: &Path, event: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join("audit")).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == event).collect()
}

/// Makes the index of the only recording again. It is then found as it was before.
pub(super) async fn is_found_again(client: &Client, before: &[Value]) {
    let (status, lines, error) = ask(client, "reindex").await;
    assert_eq!(status, Some(0), "{error}");
    assert!(
        lines.contains(" default: 1 made, 0 unreadable\n"),
        "{lines}"
    );
    assert_eq!(list(client, 1).await, before);
}

/// The end of the first session, once the audit log has it: it is written beside what it tells of.
pub(super) async fn ended(dir: &Path) -> Value {
    let end = || std::future::ready(audit(dir, "end").into_iter().next());
    eventually("an end in the audit log", SOON, end)
        .await
        .unwrap()
}

/// Makes the store one that takes nothing: a file is where its folder was. Root is no exception.
pub(super) fn away(dir: &Path) {
    fs::rename(dir.join("store"), dir.join("away")).unwrap();
    fs::write(dir.join("store"), "").unwrap();
}

pub(super) fn back(dir: &Path) {
    fs::remove_file(dir.join("store")).unwrap();
    fs::rename(dir.join("away"), dir.join("store")).unwrap();
}
