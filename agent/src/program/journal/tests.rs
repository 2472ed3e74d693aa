//! What the folder keeps, counts and gives up.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::grant::Granted;

fn entry(session: &str) -> JournalEntry {
    let granted = Granted {
        namespace: "prod".into(),
        pod: "web-0".into(),
        uid: "u1".into(),
        container: "main".into(),
        container_id: format!("containerd://{}", "a".repeat(64)),
    };
    let trace = r#"{"Wrapped":{"leader":null}}"#;
    JournalEntry {
        session: session.to_owned(),
        granted,
        trace: serde_json::from_str(trace).unwrap(),
        hang_up: None,
    }
}

fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("podgate-journal-{name}-{}", std::process::id()))
}

/// Tries again, and waits until that is done: calls are made in order.
async fn again(journal: &Journal) {
    journal.again();
    assert_eq!(journal.left().await, []);
}

fn open(folder: &Path) -> Result<(Journal, Vec<JournalEntry>), Error> {
    Journal::open(folder, 1024 * 1024, (Counter::default(), Gauge::default()))
}

#[tokio::test]
async fn its_files_have_a_limit() {
    let folder = folder("limit");
    let lost = Counter::default();
    let one = serde_json::to_vec(&entry("a")).unwrap().len() as u64;
    // Room for two, with what is around each.
    let (journal, _) =
        Journal::open(&folder, one * 5 / 2 + 128, (lost.clone(), Gauge::default())).unwrap();
    for session in ["a", "b", "c"] {
        journal.write(&entry(session)).await;
    }
    assert_eq!(lost.get(), 1);
    // What is in it can be written anew, and what is over makes room.
    journal.write(&entry("a")).await;
    journal.remove("b");
    journal.write(&entry("c")).await;
    assert_eq!(lost.get(), 1);
    journal.write(&entry("b")).await;
    assert_eq!(lost.get(), 2);
    drop(journal);
    // What an earlier agent has left counts.
    let (journal, left) = Journal::open(&folder, one, (lost.clone(), Gauge::default())).unwrap();
    assert_eq!(left.len(), 2);
    journal.write(&entry("d")).await;
    assert_eq!(lost.get(), 3);
    drop(journal);
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn what_cannot_be_written_leaves_nothing() {
    let folder = folder("unwritten");
    let lost = Counter::default();
    let (journal, _) =
        Journal::open(&folder, 1024 * 1024, (lost.clone(), Gauge::default())).unwrap();
    // Nothing can take this name.
    fs::create_dir_all(folder.join("0.a.json/taken")).unwrap();
    journal.write(&entry("a")).await;
    assert_eq!(lost.get(), 1);
    assert!(!folder.join("0.a.new").exists());
    drop(journal);
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn what_could_not_be_written_is_written_later_unless_it_is_over() {
    let folder = folder("later");
    let missing = Gauge::default();
    let counts = (Counter::default(), missing.clone());
    let (journal, _) = Journal::open(&folder, 1024 * 1024, counts).unwrap();
    let blocked = ["a", "b"].map(|session| folder.join(format!("0.{session}.json")));
    for path in &blocked {
        fs::create_dir_all(path.join("taken")).unwrap();
    }
    journal.write(&entry("a")).await;
    journal.write(&entry("b")).await;
    again(&journal).await;
    assert_eq!(missing.get(), 2);
    for path in &blocked {
        fs::remove_dir_all(path).unwrap();
    }
    journal.remove("b");
    again(&journal).await;
    assert_eq!(missing.get(), 0);
    drop(journal);
    let (journal, left) = open(&folder).unwrap();
    assert_eq!(left, [entry("a")]);
    drop(journal);
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn what_is_not_over_is_read_again() {
    let folder = folder("again");
    let (journal, before) = open(&folder).unwrap();
    assert_eq!(before, []);
    journal.write(&entry("a")).await;
    journal.write(&entry("b")).await;
    journal.remove("a");
    // Calls are made in order: once this one is over, so is the last.
    journal.write(&entry("b")).await;
    drop(journal);
    let (_, again) = open(&folder).unwrap();
    assert_eq!(again, [entry("b")]);
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn two_agents_share_a_folder_and_each_takes_over_only_from_one_that_is_gone() {
    let folder = folder("shared");
    let (old, _) = open(&folder).unwrap();
    old.write(&entry("a")).await;
    let (new, before) = open(&folder).unwrap();
    assert_eq!(
        (before, new.left().await),
        (vec![], vec![]),
        "the old one lives"
    );
    new.write(&entry("b")).await;
    old.write(&entry("c")).await;
    old.remove("a");
    old.write(&entry("c")).await;
    drop(old);
    assert_eq!(new.left().await, [entry("c")]);
    assert_eq!(new.left().await, []);
    new.remove("c");
    new.write(&entry("b")).await;
    drop(new);
    let (last, left) = open(&folder).unwrap();
    assert_eq!(left, [entry("b")]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "and the lock");
    drop(last);
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn what_an_agent_up_to_0_1_left_is_taken_over_once_it_is_gone() {
    let folder = folder("earlier");
    let (journal, _) = open(&folder).unwrap();
    journal.write(&entry("a")).await;
    drop(journal);
    fs::rename(folder.join("0.a.json"), folder.join("a.json")).unwrap();
    let lock = fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let (new, left) = open(&folder).unwrap();
    assert_eq!(left, [], "it lives");
    drop(lock);
    assert_eq!(new.left().await, [entry("a")]);
    drop(new);
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn what_is_of_another_boot_is_removed_and_what_is_broken_is_left_alone() {
    let folder = folder("broken");
    let (journal, _) = open(&folder).unwrap();
    journal.write(&entry("a")).await;
    let whole = fs::read_to_string(folder.join("0.a.json")).unwrap();
    drop(journal);
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("0.a.json", &whole.replace("\"boot\":\"", "\"boot\":\"0"));
    write("0.b.json", "{");
    write("0.c.new", &whole);
    let (journal, left) = open(&folder).unwrap();
    assert_eq!(left, []);
    assert!(folder.join("1.b.json").exists());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "and the lock");
    drop(journal);
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert!(matches!(open(&folder), Err(Error::Open(_))));
    fs::remove_dir_all(&folder).unwrap();
}
