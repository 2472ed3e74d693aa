//! A login is valid as long as its credential would be accepted. After that its sessions are ended, and
//! those of others go on.

use super::{AuthnStand, is_ended};

const CONFIG: &str = "recheckSeconds: 1\n\
    authn: {certificates: [{authorities: 'DIR/ca.pub'}], revoked: 'DIR/revoked'}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_user_or_key_that_is_removed() {
    let authn = AuthnStand::new(CONFIG).await;
    let ada = authn.somebody("ada").await;
    let bob = authn.somebody("bob").await;
    let user =
        |name: &str, rest: &str, key: &str| format!("- {{name: {name}, {rest} keys: ['{key}']}}\n");
    let bobs = user("bob", "", &bob.key);
    authn.users(&format!(
        "{bobs}{}",
        user("ada", "groups: [dev],", &ada.key)
    ));
    let mut bob = bob.echo().await;
    // What each change takes away: the user, the key, a group, a permission.
    for change in [
        String::new(),
        user("ada", "groups: [dev],", "").replace("''", ""),
        user("ada", "", &ada.key),
        user("ada", "groups: [dev],", &format!("no-pty {}", ada.key)),
        user("adele", "groups: [dev],", &ada.key),
    ] {
        authn.users(&format!(
            "{bobs}{}",
            user("ada", "groups: [dev],", &ada.key)
        ));
        let session = ada.echo().await;
        authn.users(&format!("{bobs}{change}"));
        is_ended(session).await;
        bob.again().await.unwrap();
    }
    let counts = [
        "podgate_frontdoor_sessions_total{action=\"exec\",outcome=\"revoked\"} 5",
        "podgate_frontdoor_sessions_active 1",
        "podgate_frontdoor_connections 1",
    ];
    authn
        .stand
        .frontdoor
        .counts(super::SOON, &counts)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_revoked_or_expires() {
    let authn = AuthnStand::new(CONFIG).await;
    let ada = authn.somebody("ada").await;
    let options = ["-I", "ada", "-n", "ada", "-z", "5"];
    authn.certify(&ada, "ca", &options).await;
    let session = ada.echo().await;
    authn.revoke("serial: 5\n");
    is_ended(session).await;
    authn.revoke("");
    let until = ["-I", "ada", "-n", "ada", "-V", "-1m:+15s"];
    authn.certify(&ada, "ca", &until).await;
    is_ended(ada.echo().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_wrong_are_counted_and_the_last_ones_hold() {
    let last = CONFIG.replace("'}\n", "', revokedOnFailure: last}\n");
    let authn = AuthnStand::new(&last).await;
    let ada = authn.somebody("ada").await;
    let users = format!("- {{name: ada, keys: ['{}']}}\n", ada.key);
    let stale = async |files: usize| {
        let line = format!("podgate_frontdoor_stale_files {files}");
        let frontdoor = &authn.stand.frontdoor;
        frontdoor.counts(super::SOON, &[&line]).await.unwrap();
    };
    authn.users(&users);
    ada.works().await;
    authn.users("- {name: ada, keys: [");
    authn.revoke("serial: none\n");
    stale(2).await;
    ada.works().await;
    authn.users("[]\n");
    authn.revoke("");
    stale(0).await;
    ada.is_denied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_read_lets_nobody_in_and_ends_no_session() {
    let authn = AuthnStand::new(CONFIG).await;
    let ada = authn.somebody("ada").await;
    authn.users(&format!("- {{name: ada, keys: ['{}']}}\n", ada.key));
    let mut session = ada.echo().await;
    let list = authn.dir.path().join("revoked");
    let counts = async |line: &str| {
        let frontdoor = &authn.stand.frontdoor;
        frontdoor.counts(super::SOON, &[line]).await.unwrap();
    };
    authn.revoke("serial: none\n");
    counts("podgate_frontdoor_stale_files 1").await;
    ada.is_denied().await;
    authn.refused("the revocation list cannot be read").await;
    std::fs::remove_file(list).unwrap();
    ada.is_denied().await;
    // It is checked again meanwhile, and goes on.
    let log = authn.stand.frontdoor.log().len();
    authn.users(&format!("- {{name: ada, keys: ['{}']}} # again\n", ada.key));
    let reloaded = |line: &serde_json::Value| line["message"] == "reloaded";
    let frontdoor = &authn.stand.frontdoor;
    let read = frontdoor.wait_log_from(log, super::SOON, reloaded).await;
    read.unwrap();
    session.again().await.unwrap();
    authn.revoke("");
    counts("podgate_frontdoor_stale_files 0").await;
    ada.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_connection_ends_with_its_sessions() {
    let authn = AuthnStand::new(CONFIG).await;
    let ada = authn.somebody("ada").await;
    authn.users(&format!("- {{name: ada, keys: ['{}']}}\n", ada.key));
    let shared = ada.client.share("demo").await.unwrap();
    let output = ada.run(&[&shared.option], "echo works").await;
    assert_eq!(output.stdout, b"works\n");
    authn.users("[]\n");
    let none = ["podgate_frontdoor_connections 0"];
    authn
        .stand
        .frontdoor
        .counts(super::SOON, &none)
        .await
        .unwrap();
}
