//! Logins that take two steps: a key and a certificate of one user, each of which is a partial success.

use super::{AuthnStand, Somebody};

const BOTH: &str =
    "authn:\n  methods: [key+certificate]\n  certificates: [{authorities: 'DIR/ca.pub'}]\n";

async fn with_key(authn: &AuthnStand, name: &str, options: &str) -> Somebody {
    let somebody = authn.somebody(name).await;
    let users = format!(
        "- {{name: {name}, groups: [dev], keys: ['{options} {}']}}\n",
        somebody.key
    );
    authn.users(&users);
    somebody
}

#[tokio::test(flavor = "multi_thread")]
async fn both_are_wanted() {
    let authn = AuthnStand::new(BOTH).await;
    let ada = with_key(&authn, "ada", "no-pty").await;
    // A key alone is a partial success, and ssh is told so.
    let output = ada.run(&["-v"], "echo ran").await;
    super::denied(&output);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("with partial success"), "{text}");
    // A certificate alone is not enough either.
    let bob = authn.somebody("bob").await;
    authn.certify(&bob, "ca", &["-I", "bob", "-n", "bob"]).await;
    bob.is_denied().await;

    let options = ["-I", "ada", "-n", "group:dev,group:ops,x"];
    authn.certify(&ada, "ca", &options).await;
    ada.works().await;
    authn
        .logged_in("ada", "[\"dev\", \"ops\"]", "key+certificate")
        .await;
    // If one of the two credentials forbids something, it is forbidden.
    assert!(!ada.has_terminal().await);
    // The same with the credentials in the other order.
    let eve = authn.somebody("eve").await;
    authn.certify(&eve, "ca", &["-I", "ada", "-n", "x"]).await;
    let certificate = format!(
        "-oCertificateFile={}",
        eve.dir.join("id-cert.pub").display()
    );
    let key = format!("-oIdentityFile={}", eve.dir.join("id").display());
    std::fs::remove_file(ada.dir.join("id-cert.pub")).unwrap();
    let own = format!("-oIdentityFile={}", ada.dir.join("id").display());
    assert_eq!(
        ada.prints(&[&own, &key, &certificate], "echo works").await,
        "works\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_user_and_one_mind() {
    let authn = AuthnStand::new(BOTH).await;
    let ada = with_key(&authn, "ada", "command=\"echo key\"").await;
    authn.certify(&ada, "ca", &["-I", "bob", "-n", "x"]).await;
    ada.is_denied().await;
    authn.refused("belongs to another user").await;
    let force = [
        "-I",
        "ada",
        "-n",
        "x",
        "-O",
        "force-command=echo certificate",
    ];
    authn.certify(&ada, "ca", &force).await;
    ada.is_denied().await;
    authn.refused("a different command").await;
    let force = ["-I", "ada", "-n", "x", "-O", "force-command=echo key"];
    authn.certify(&ada, "ca", &force).await;
    assert_eq!(ada.prints(&[], "id").await, "key\n");
}
