//! Hardware-backed keys, with OpenSSH's own authenticator in software: what they say of their user
//! is demanded as the key's options or the certificate have it.

use podgate_tests::real::security_key;
use podgate_tests::real::ssh::keygen;

use super::{AuthnStand, Somebody, denied};

const RULES: &str = "authn: {certificates: [{authorities: 'DIR/ca.pub'}]}\n";

/// Somebody whose key is of this kind, and made with this of ssh-keygen's `-O`.
async fn somebody(authn: &AuthnStand, kind: &str, made: &str) -> Somebody {
    let provider = security_key::provider().unwrap();
    let number = authn.stand.dir().read_dir().unwrap().count();
    let mut somebody = authn.somebody(&format!("{kind}-{number}")).await;
    let id = somebody.dir.join("id");
    std::fs::remove_file(&id).unwrap();
    let provider = provider.display().to_string();
    let mut options = vec!["-t", kind, "-w", &provider];
    if !made.is_empty() {
        options.extend(["-O", made]);
    }
    somebody.key = keygen(&id, &options).await.unwrap();
    somebody
}

async fn check(somebody: &Somebody, works: bool, case: &str) {
    let provider = security_key::provider().unwrap();
    let provider = format!("-oSecurityKeyProvider={}", provider.display());
    let mut ssh = somebody.client.ssh(&[&provider], "demo");
    // The PIN that a key with verify-required is asked for.
    ssh.env("SSH_ASKPASS_REQUIRE", "force")
        .env("SSH_ASKPASS", "/bin/true");
    let output = ssh.arg("echo works").output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    match works {
        true => assert_eq!(output.stdout, b"works\n", "{case}: {text}"),
        false => denied(&output),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_touched_and_verified_as_its_options_demand() {
    let authn = AuthnStand::new("").await;
    for kind in ["ed25519-sk", "ecdsa-sk"] {
        for (made, options, works) in [
            ("", "", true),
            ("", "no-touch-required", true),
            ("", "verify-required", false),
            ("no-touch-required", "", false),
            ("no-touch-required", "no-touch-required", true),
            (
                "no-touch-required",
                "no-touch-required,touch-required",
                false,
            ),
            ("verify-required", "", true),
            ("verify-required", "verify-required", true),
        ] {
            let ada = somebody(&authn, kind, made).await;
            let key = &ada.key;
            authn.users(&format!("- {{name: ada, keys: ['{options} {key}']}}\n"));
            check(&ada, works, &format!("{kind} {made:?} {options:?}")).await;
        }
    }
    authn.refused("was not touched").await;
    authn.refused("did not verify its user").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_demands_them_too() {
    let authn = AuthnStand::new(RULES).await;
    authn.users("[]");
    for kind in ["ed25519-sk", "ecdsa-sk"] {
        for (made, option, works) in [
            ("", "clear", true),
            ("", "verify-required", false),
            ("no-touch-required", "clear", false),
            ("no-touch-required", "no-touch-required", true),
            ("verify-required", "verify-required", true),
        ] {
            let ada = somebody(&authn, kind, made).await;
            let options = ["-I", "ada", "-n", "ada", "-O", option];
            authn.certify(&ada, "ca", &options).await;
            check(&ada, works, &format!("{kind} {made:?} {option:?}")).await;
        }
    }
    authn.refused("was not touched").await;
    authn.refused("did not verify its user").await;
}
