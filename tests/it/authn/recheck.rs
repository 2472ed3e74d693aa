//! A login holds as long as what let it in: then its sessions are ended, and others go on.

use super::{Place, is_ended};

const CONFIG: &str = "recheckSeconds: 1\n\
    authn: {certificates: [{authorities: 'DIR/ca.pub'}], revoked: 'DIR/revoked'}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_user_or_key_that_is_removed() {
    let place = Place::new(CONFIG).await;
    let ada = place.somebody("ada").await;
    let bob = place.somebody("bob").await;
    let user =
        |name: &str, rest: &str, key: &str| format!("- {{name: {name}, {rest} keys: ['{key}']}}\n");
    let bobs = user("bob", "", &bob.key);
    place.users(&format!(
        "{bobs}{}",
        user("ada", "groups: [dev],", &ada.key)
    ));
    let mut bob = bob.echo().await;
    // What each change takes away: the user, the key, a group, a freedom.
    for change in [
        String::new(),
        user("ada", "groups: [dev],", "").replace("''", ""),
        user("ada", "", &ada.key),
        user("ada", "groups: [dev],", &format!("no-pty {}", ada.key)),
        user("adele", "groups: [dev],", &ada.key),
    ] {
        place.users(&format!(
            "{bobs}{}",
            user("ada", "groups: [dev],", &ada.key)
        ));
        let session = ada.echo().await;
        place.users(&format!("{bobs}{change}"));
        is_ended(session).await;
        bob.again().await.unwrap();
    }
    let counts = [
        "podgate_frontdoor_sessions_total{action=\"exec\",outcome=\"revoked\"} 5",
        "podgate_frontdoor_sessions_active 1",
        "podgate_frontdoor_connections 1",
    ];
    place
        .stand
        .frontdoor
        .counts(super::SOON, &counts)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_revoked_or_expires() {
    let place = Place::new(CONFIG).await;
    let ada = place.somebody("ada").await;
    let options = ["-I", "ada", "-n", "ada", "-z", "5"];
    place.certify(&ada, "ca", &options).await;
    let session = ada.echo().await;
    place.revoke("serial: 5\n");
    is_ended(session).await;
    place.revoke("");
    let until = ["-I", "ada", "-n", "ada", "-V", "-1m:+15s"];
    place.certify(&ada, "ca", &until).await;
    is_ended(ada.echo().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_wrong_are_counted_and_the_last_ones_hold() {
    let last = CONFIG.replace("'}\n", "', revokedOnFailure: last}\n");
    let place = Place::new(&last).await;
    let ada = place.somebody("ada").await;
    let users = format!("- {{name: ada, keys: ['{}']}}\n", ada.key);
    let stale = async |files: usize| {
        let line = format!("podgate_frontdoor_stale_files {files}");
        let frontdoor = &place.stand.frontdoor;
        frontdoor.counts(super::SOON, &[&line]).await.unwrap();
    };
    place.users(&users);
    ada.works().await;
    place.users("- {name: ada, keys: [");
    place.revoke("serial: none\n");
    stale(2).await;
    ada.works().await;
    place.users("[]\n");
    place.revoke("");
    stale(0).await;
    ada.is_denied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_read_lets_nobody_in_and_ends_no_session() {
    let place = Place::new(CONFIG).await;
    let ada = place.somebody("ada").await;
    place.users(&format!("- {{name: ada, keys: ['{}']}}\n", ada.key));
    let mut session = ada.echo().await;
    let list = place.dir.path().join("revoked");
    let counts = async |line: &str| {
        let frontdoor = &place.stand.frontdoor;
        frontdoor.counts(super::SOON, &[line]).await.unwrap();
    };
    place.revoke("serial: none\n");
    counts("podgate_frontdoor_stale_files 1").await;
    ada.is_denied().await;
    place.refused("the revocation list cannot be read").await;
    std::fs::remove_file(list).unwrap();
    ada.is_denied().await;
    // It is checked again meanwhile, and goes on.
    let log = place.stand.frontdoor.log().len();
    place.users(&format!("- {{name: ada, keys: ['{}']}} # again\n", ada.key));
    let reloaded = |line: &serde_json::Value| line["message"] == "reloaded";
    let frontdoor = &place.stand.frontdoor;
    let read = frontdoor.wait_log_from(log, super::SOON, reloaded).await;
    read.unwrap();
    session.again().await.unwrap();
    place.revoke("");
    counts("podgate_frontdoor_stale_files 0").await;
    ada.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_connection_ends_with_its_sessions() {
    let place = Place::new(CONFIG).await;
    let ada = place.somebody("ada").await;
    place.users(&format!("- {{name: ada, keys: ['{}']}}\n", ada.key));
    let shared = ada.client.share("demo").await.unwrap();
    let output = ada.run(&[&shared.option], "echo works").await;
    assert_eq!(output.stdout, b"works\n");
    place.users("[]\n");
    let none = ["podgate_frontdoor_connections 0"];
    place
        .stand
        .frontdoor
        .counts(super::SOON, &none)
        .await
        .unwrap();
}
