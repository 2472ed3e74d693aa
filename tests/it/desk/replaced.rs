//! The desk's CA is replaced while the signer runs.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podgate_tests::instruments::eventually::eventually;
use russh::keys::{Certificate, PublicKey};
use serde_json::json;

use super::{Desk, SOON, authority, issue, trusting};

#[tokio::test(flavor = "multi_thread")]
async fn the_next_key_signs_and_the_last_is_trusted_until_it_is_taken_out() {
    let bundle = tempfile::tempdir().unwrap();
    let trusted = bundle.path().join("user_ca.pub");
    let stand = trusting(&trusted).await;
    let secret = "  ca: {secret: {namespace: podgate, name: podgate-user-ca}}\n";
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::start(dir, &stand.api, &stand.pki, secret).await;
    let folder = bundle.path();
    stand
        .api
        .mount("configmaps", "podgate", "podgate-ca", folder);
    // The keys' lines, once there are so many.
    let keys = async |count: usize| {
        let keys = || async {
            let text = std::fs::read_to_string(&trusted).unwrap_or_default();
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let lines: Vec<_> = lines.map(str::to_owned).collect();
            (lines.len() == count).then_some(lines)
        };
        eventually("keys in the bundle", SOON, keys).await.unwrap()
    };
    let certify = async |name: &str| {
        let (client, _) = stand.stranger(name).await.unwrap();
        let bearer = issue(&stand.api, "dev", name);
        let folder = stand.dir().join(name);
        let (status, line) = desk.ask(Some(&bearer), &folder.join("id.pub")).await;
        assert_eq!(status, 200, "{line}");
        std::fs::write(folder.join("id-cert.pub"), &line).unwrap();
        (client, Certificate::from_openssh(&line).unwrap())
    };
    let key = |line: &str| line.parse::<PublicKey>().unwrap().key_data().clone();

    let first = keys(1).await.remove(0);
    let (before, certificate) = certify("before").await;
    assert_eq!(*certificate.signature_key(), key(&first));
    let next = authority().await;
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let text = STANDARD.encode(read(&next.path().join("user_ca")));
    let next = read(&next.path().join("user_ca.pub"));
    stand
        .api
        .edit_object("secrets", "podgate", "podgate-user-ca", |secret| {
            secret["data"] = json!({"user_ca": text});
        });
    let found = keys(2).await;
    assert_eq!((key(&found[0]), &found[1]), (key(&next), &first));
    let (after, certificate) = certify("after").await;
    assert_eq!(*certificate.signature_key(), key(&next));
    let lets_in = async |client: &podgate_tests::real::ssh::Client| {
        let who = client.run(&[], "whoami", "").await.unwrap();
        who.status.success()
    };
    assert!(lets_in(&before).await && lets_in(&after).await);

    // After a theft, an administrator removes the old key.
    stand
        .api
        .edit_object("configmaps", "podgate", "podgate-ca", |bundle| {
            bundle["data"]["user_ca.pub"] = json!(next);
        });
    assert!(!lets_in(&before).await && lets_in(&after).await);

    // If the Secret is emptied, the signer makes a key. If it holds something that is not a key, the
    // last one stays.
    stand
        .api
        .edit_object("secrets", "podgate", "podgate-user-ca", |secret| {
            secret["data"] = json!(null);
        });
    let found = keys(2).await;
    assert_eq!(key(&found[1]), key(&next));
    stand
        .api
        .edit_object("secrets", "podgate", "podgate-user-ca", |secret| {
            secret["data"] = json!({"user_ca": STANDARD.encode("none")});
        });
    let looked = |line: &serde_json::Value| {
        let error = line["error"].as_str().unwrap_or_default();
        error.contains("user_ca of Secret podgate-user-ca")
    };
    desk.signer.wait_log(SOON, looked).await.unwrap();
    let (_, certificate) = certify("last").await;
    assert_eq!(*certificate.signature_key(), key(&found[0]));
}
