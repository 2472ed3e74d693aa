//! Logins that take two steps: a key and a certificate of one user, each of which is a partial success.

use super::{Place, Somebody};

const BOTH: &str =
    "authn:\n  methods: [key+certificate]\n  certificates: [{authorities: 'DIR/ca.pub'}]\n";

async fn with_key(place: &Place, name: &str, options: &str) -> Somebody {
    let somebody = place.somebody(name).await;
    let users = format!(
        "- {{name: {name}, groups: [dev], keys: ['{options} {}']}}\n",
        somebody.key
    );
    place.users(&users);
    somebody
}

#[tokio::test(flavor = "multi_thread")]
async fn both_are_wanted() {
    let place = Place::new(BOTH).await;
    let ada = with_key(&place, "ada", "no-pty").await;
    // A key alone is a success in part, and ssh is told so.
    let output = ada.run(&["-v"], "echo ran").await;
    super::denied(&output);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("with partial success"), "{text}");
    // A certificate alone is not enough either.
    let bob = place.somebody("bob").await;
    place.certify(&bob, "ca", &["-I", "bob", "-n", "bob"]).await;
    bob.is_denied().await;

    let options = ["-I", "ada", "-n", "group:dev,group:ops,x"];
    place.certify(&ada, "ca", &options).await;
    ada.works().await;
    place
        .logged_in("ada", "[\"dev\", \"ops\"]", "key+certificate")
        .await;
    // What one of them forbids is forbidden.
    assert!(!ada.has_terminal().await);
    // Of two keys, too, in the other order.
    let eve = place.somebody("eve").await;
    place.certify(&eve, "ca", &["-I", "ada", "-n", "x"]).await;
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
    let place = Place::new(BOTH).await;
    let ada = with_key(&place, "ada", "command=\"echo key\"").await;
    place.certify(&ada, "ca", &["-I", "bob", "-n", "x"]).await;
    ada.is_denied().await;
    place.refused("belongs to another user").await;
    let force = [
        "-I",
        "ada",
        "-n",
        "x",
        "-O",
        "force-command=echo certificate",
    ];
    place.certify(&ada, "ca", &force).await;
    ada.is_denied().await;
    place.refused("a different command").await;
    let force = ["-I", "ada", "-n", "x", "-O", "force-command=echo key"];
    place.certify(&ada, "ca", &force).await;
    assert_eq!(ada.prints(&[], "id").await, "key\n");
}
