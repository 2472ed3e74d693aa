//! What the page has of a recording that it cannot read.

use podgate_tests::real::age::Key;

use super::stand::{Page, ask};

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_recording_is_listed_and_given_out_and_not_played() {
    let keys = tempfile::tempdir().unwrap();
    let key = Key::make(&keys.path().join("key")).await.unwrap();
    let lines = format!("  encryption: {{recipients: [{}]}}\n", key.recipient);
    let page = Page::start_recording(&lines, "").await;
    let id = page.record("echo xyzzy").await;
    let (_, _, told) = ask(&page.stand.client, &format!("link {id}")).await;
    assert!(told.contains("the recording is encrypted"), "{told}");
    let cookie = page.sign_in(&id).await;
    let get = async |path: &str| page.get(path, &["-H", &cookie]).await;

    let list = get("/").await;
    assert!(list.body.contains("<i>encrypted</i>"), "{}", list.body);
    // No search tells what the command was.
    let found = get("/?command=xyzzy").await;
    assert!(!found.body.contains(&id), "{}", found.body);
    let to = format!("/recordings/{id}");
    for shown in [get(&to).await, get(&format!("{to}?follow")).await] {
        assert_eq!(shown.status, 200);
        assert!(shown.body.contains("ada in demo.default"), "{}", shown.body);
        assert!(shown.body.contains("is encrypted") && shown.body.contains("age -d -i KEYFILE"));
        assert!(!shown.body.contains("id=player"), "{}", shown.body);
        assert!(!shown.body.contains("xyzzy"), "{}", shown.body);
    }
    for path in ["events", "live"] {
        let refused = get(&format!("{to}/{path}")).await;
        assert_eq!(refused.status, 409, "{refused:?}");
        assert!(
            refused.body.contains("Podgate has no key"),
            "{}",
            refused.body
        );
    }
    let mut download = page.curl(&page.part, &format!("{to}/cast"));
    let tar = download.args(["--no-include", "-H", &cookie]).output();
    let tar = tar.await.unwrap().stdout;
    assert!(key.read(&tar).await.unwrap().contains("xyzzy"));
}
