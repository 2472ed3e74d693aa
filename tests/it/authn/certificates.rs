//! Certificates that ssh-keygen signs: each reason to refuse one, and what accepted ones allow.

use podgate_tests::instruments::client::Login;

use super::{AuthnStand, denied};

const RULES: &str =
    "authn: {certificates: [{authorities: 'DIR/ca.pub'}], revoked: 'DIR/revoked'}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_names_its_user_and_groups() {
    let authn = AuthnStand::new(RULES).await;
    let ada = authn.somebody("ada").await;
    ada.is_denied().await;
    let options = ["-I", "ada", "-n", "x,group:dev,group:ops", "-V", "-1m:+5m"];
    authn.certify(&ada, "ca", &options).await;
    ada.works().await;
    authn
        .logged_in("ada", "[\"dev\", \"ops\"]", "certificate")
        .await;
    // The desk's extension is ignored in a certificate of another CA.
    let vouched = "extension:identity@podgate={\"source\":\"oidc\",\"extra\":{\"a\":[\"b\"]}}";
    authn
        .certify(&ada, "ca", &["-I", "ada", "-n", "x", "-O", vouched])
        .await;
    assert_eq!(
        ada.client.run(&[], "whoami", "").await.unwrap().stdout,
        b"user: ada\nsource: certificate\n"
    );
    // The stand's own user may still log in by their key, which is offered as any other.
    let own = authn.stand.client.run(&[], "demo", "echo works").await;
    assert_eq!(own.unwrap().stdout, b"works\n");
    authn.logged_in("ada", "[\"dev\"]", "key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_of_a_ca_is_its_own() {
    let authn = AuthnStand::new(
        "authn:\n  certificates:\n\
         \x20 - {authorities: 'DIR/ca.pub', userFrom: principal, userPrincipal: 'user:', \
         groupPrincipal: 'g:', userPrefix: 'corp:', groupPrefix: 'corp:'}\n\
         \x20 - {authorities: 'DIR/other.pub', trustSystem: true}\n",
    )
    .await;
    let ada = authn.somebody("ada").await;
    authn
        .certify(&ada, "ca", &["-I", "some key", "-n", "user:ada,g:dev,else"])
        .await;
    ada.works().await;
    authn
        .logged_in("corp:ada", "[\"corp:dev\"]", "certificate")
        .await;
    for principals in ["else", "user:ada,user:bob", "user:"] {
        let options = ["-I", "some key", "-n", principals];
        authn.certify(&ada, "ca", &options).await;
        ada.is_denied().await;
    }
    authn.refused("0 of its principals").await;
    authn.refused("2 of its principals").await;
    authn.refused("is empty").await;
    let options = ["-I", "system:node:a", "-n", "group:system:nodes"];
    authn.certify(&ada, "other", &options).await;
    ada.works().await;
    authn
        .logged_in("system:node:a", "[\"system:nodes\"]", "certificate")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_a_certificate_worth_nothing() {
    let authn = AuthnStand::new(RULES).await;
    const PLAIN: &str = "-I ada -n ada";
    // Who signs, ssh-keygen's options, and what the log says. Wrong dates are reported by russh, not in
    // the log.
    let table = [
        ("other", PLAIN, "its CA is not trusted"),
        ("ca", "-I ada -n ada -V -2h:-1h", ""),
        ("ca", "-I ada -n ada -V +1h:+2h", ""),
        ("ca", "-I ada -n ada -h", "it is a host certificate"),
        ("ca", "-I ada", "it names no principals"),
        ("ca", "-I system:admin -n ada", "\"system:admin\""),
        ("ca", "-I ada -n group:system:masters", "\"system:masters\""),
        (
            "ca",
            "-I ada -n ada -O source-address=10.0.0.0/8",
            "does not match its source-address",
        ),
        (
            "ca",
            "-I ada -n ada -O critical:what@example.com=x",
            "its critical option \"what@example.com\"",
        ),
    ];
    let words = |options: &'static str| options.split(' ').collect::<Vec<_>>();
    for (number, (ca, options, reason)) in table.into_iter().enumerate() {
        let ada = authn.somebody(&format!("ada-{number}")).await;
        authn.certify(&ada, ca, &words(options)).await;
        // ssh would not show a host's certificate at all; this client shows anything.
        let certificate = ada.dir.join("id-cert.pub");
        let (key, host) = (ada.dir.join("id"), authn.stand.dir().join("host.pub"));
        let login = Login::new(authn.stand.frontdoor.port(), "demo", &key, &host);
        let login = login.unwrap().with_certificate(&certificate).unwrap();
        let error = login.connect().await.err().map(|error| error.to_string());
        let error = error.unwrap_or_default();
        assert!(error.contains("no login"), "{options:?}: {error}");
        ada.is_denied().await;
        authn.refused(reason).await;
        // The same key, signed properly.
        authn.certify(&ada, "ca", &words(PLAIN)).await;
        ada.works().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_certificate_allows() {
    let authn = AuthnStand::new(RULES).await;
    let ada = authn.somebody("ada").await;
    let plain = [
        "-I",
        "ada",
        "-n",
        "ada",
        "-O",
        "source-address=127.0.0.0/8,::1",
    ];
    authn.certify(&ada, "ca", &plain).await;
    assert!(ada.has_terminal().await);
    authn
        .certify(&ada, "ca", &[&plain[..], &["-O", "no-pty"]].concat())
        .await;
    assert!(!ada.has_terminal().await);
    let clear = [
        &plain[..],
        &[
            "-O",
            "clear",
            "-O",
            "permit-pty",
            "-O",
            "extension:x@example.com",
        ],
    ];
    authn.certify(&ada, "ca", &clear.concat()).await;
    assert!(ada.has_terminal().await);
    let forced = "force-command=echo forced:$SSH_ORIGINAL_COMMAND";
    authn
        .certify(&ada, "ca", &[&plain[..], &["-O", forced]].concat())
        .await;
    assert_eq!(ada.prints(&[], "id").await, "forced:id\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_or_not_trusted_any_more() {
    let authn = AuthnStand::new(RULES).await;
    let ada = authn.somebody("ada").await;
    let options = ["-I", "ada's laptop", "-n", "ada", "-z", "17"];
    authn.certify(&ada, "ca", &options).await;
    ada.works().await;
    let ca = std::fs::read_to_string(authn.dir.path().join("ca.pub")).unwrap();
    let own = std::fs::read_to_string(authn.stand.dir().join("id.pub")).unwrap();
    for list in [
        "serial: 17\n".to_owned(),
        "# many\nserial: 10-20\n".to_owned(),
        "id: ada's laptop\n".to_owned(),
        format!("key: {}\n", ada.key),
        ca.clone(),
    ] {
        authn.revoke(&list);
        ada.is_denied().await;
        // A list that is not valid leaves the last one in force.
        authn.revoke("serial: none\n");
        ada.is_denied().await;
        authn.revoke("serial: 18\nid: ada\n");
        ada.works().await;
    }
    authn.refused("it is revoked").await;
    // A binary list says the same.
    for (spec, options) in [
        ("serial: 10-20\n".to_owned(), &["-s", "ca.pub"][..]),
        ("id: ada's laptop\n".to_owned(), &["-s", "none"]),
        (format!("sha1: {}\n", ada.key), &[]),
        (ca.clone(), &[]),
    ] {
        authn.revoke_by_krl(&spec, options).await;
        ada.is_denied().await;
        authn
            .revoke_by_krl("serial: 17\n", &["-s", "other.pub"])
            .await;
        ada.works().await;
    }
    // Plain keys are revoked, too.
    let works = async || {
        let run = authn.stand.client.run(&[], "demo", "echo works").await;
        run.unwrap().stdout == b"works\n"
    };
    assert!(works().await);
    authn.revoke(&own);
    assert!(!works().await);

    let other = std::fs::read_to_string(authn.dir.path().join("other.pub")).unwrap();
    super::replace(
        authn.dir.path().join("ca.pub"),
        &format!("# ours\n\n{other}"),
    );
    ada.is_denied().await;
    authn.certify(&ada, "other", &options).await;
    ada.works().await;

    // If the file is emptied or taken away, no CA is trusted, and not the last one either.
    let trusted = authn.dir.path().join("ca.pub");
    super::replace(trusted.clone(), "# nobody\n");
    ada.is_denied().await;
    super::replace(trusted.clone(), &other);
    ada.works().await;
    std::fs::remove_file(trusted).unwrap();
    ada.is_denied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_rsa_key() {
    let authn = AuthnStand::new(RULES).await;
    let mut ada = authn.somebody("ada").await;
    std::fs::remove_file(ada.dir.join("id")).unwrap();
    let rsa = ["-t", "rsa", "-b", "2048"];
    ada.key = podgate_tests::real::ssh::keygen(&ada.dir.join("id"), &rsa)
        .await
        .unwrap();
    authn.certify(&ada, "ca", &["-I", "ada", "-n", "ada"]).await;
    ada.works().await;
    authn.logged_in("ada", "[]", "certificate").await;
    let sha1 = "-oPubkeyAcceptedAlgorithms=ssh-rsa-cert-v01@openssh.com,ssh-rsa";
    denied(&ada.run(&[sha1], "echo ran").await);
}
