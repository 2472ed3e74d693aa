//! What the desk does not do, and what it says: the status tells a script, the line a person.

use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::ssh::keygen;
use podgate_tests::stand_ins::apiserver::{API_AUDIENCE, ApiFault, Token};
use podgate_tests::stand_ins::issuer::unsigned;
use serde_json::json;

use super::{Desk, claims, issue, now};

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_good_for_something_else_or_for_nothing() {
    let (desk, api) = Desk::alone("").await;
    let known = |bearer: &str, audiences: &[&str]| {
        let token = Token::service_account("dev", "me");
        let add = |token: Token, audience: &&str| token.audience(audience);
        api.add_token(bearer, audiences.iter().fold(token, add));
    };
    let wrong = "must be for the audience \"podgate\" and no other";

    // For the API server, for it and the desk, and for the desk and another service.
    for audiences in [
        vec![API_AUDIENCE],
        vec!["podgate", API_AUDIENCE],
        vec![API_AUDIENCE, "podgate"],
        vec!["podgate", "vault"],
        vec!["vault"],
        vec![],
    ] {
        let bearer = unsigned(&claims(json!(audiences)));
        known(&bearer, &audiences);
        desk.refuses(&bearer, 401, wrong).await;
    }
    // The token is not even shown to the API server.
    assert_eq!(api.requests("create", "tokenreviews"), 0);
    known("opaque", &["podgate"]);
    desk.refuses("opaque", 401, "is not a JWT").await;
    assert_eq!(api.requests("create", "tokenreviews"), 0);

    // A token that claims to be for the desk alone, but that the API server takes for its own.
    let bearer = unsigned(&claims(json!("podgate")));
    known(&bearer, &[API_AUDIENCE]);
    let unknown = "the API server does not accept the token";
    desk.refuses(&bearer, 401, unknown).await;
    assert_eq!(api.requests("create", "tokenreviews"), 1);

    // A token of nobody, and one that is no longer valid.
    desk.refuses(&unsigned(&claims(json!("podgate"))), 401, unknown)
        .await;
    let bearer = issue(&api, "dev", "me");
    desk.certificate(&bearer).await;
    api.remove_token(&bearer);
    desk.refuses(&bearer, 401, unknown).await;

    // One that expired a moment ago, while the API server's clock is behind; and one that never
    // expires.
    for (exp, words) in [
        (json!(now() - 1), "expired"),
        (json!(null), "never expires"),
    ] {
        let mut claims = claims(json!("podgate"));
        claims["exp"] = exp;
        let bearer = unsigned(&claims);
        known(&bearer, &["podgate"]);
        desk.refuses(&bearer, 401, words).await;
    }

    // No key, or something that is not a key.
    let key = desk.path("id.pub");
    let (status, body) = desk.ask(None, &key).await;
    assert!(status == 401 && body.contains("no bearer token"), "{body}");
    let (status, _) = desk.curl(Some("Authorization: Basic YTpi"), &key).await;
    assert_eq!(status, 401);

    // More groups than ssh reads from a certificate.
    let bearer = unsigned(&claims(json!("podgate")));
    let token = (0..255).fold(Token::of("ada").audience("podgate"), |token, n| {
        token.group(&format!("g{n}"))
    });
    api.add_token(&bearer, token);
    desk.refuses(&bearer, 403, "256 groups").await;

    for fault in [ApiFault::Refused, ApiFault::InternalError] {
        api.set_fault(fault).await.unwrap();
        let bearer = issue(&api, "dev", "me");
        desk.refuses(&bearer, 503, "the API server cannot be asked")
            .await;
    }
    let counts = |outcome: &str, n: usize| {
        format!(
            "podgate_signer_certificates_total{{source=\"kubernetes\",outcome=\"{outcome}\"}} {n}"
        )
    };
    let lines = [
        counts("issued", 1),
        counts("unavailable", 2),
        counts("forbidden", 1),
    ];
    let lines = lines.each_ref().map(String::as_str);
    desk.signer.counts(super::SOON, &lines).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_none_and_more_than_there_is() {
    let (desk, api) = Desk::alone("  perMinuteAndIdentity: 2\n").await;
    let write = |name: &str, text: &str| {
        let path = desk.path(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = std::fs::read_to_string(desk.path("id.pub")).unwrap();
    let weak = include_str!("../../../frontdoor/src/authn/keys/rsa-1024.pub");
    let bearer = issue(&api, "dev", "me");
    for (path, words) in [
        (write("empty", ""), "not a single public key"),
        (
            write("two", &format!("{good}{good}")),
            "not a single public key",
        ),
        (write("words", "let me in\n"), "not a single public key"),
        (desk.path("id"), "not a single public key"),
        (write("weak", weak), "2048 bits"),
    ] {
        let (status, body) = desk.ask(Some(&bearer), &path).await;
        assert!(status == 400 && body.contains(words), "{path:?}: {body}");
    }
    let (status, body) = desk
        .ask(Some(&bearer), &write("long", &"x".repeat(20_000)))
        .await;
    assert_eq!(status, 413, "{body}");
    // Without a key nobody is asked about the token.
    assert_eq!(api.requests("create", "tokenreviews"), 0);

    // An RSA key works as well, and each identity has a rate of its own.
    keygen(&desk.path("rsa"), &["-t", "rsa", "-b", "2048"])
        .await
        .unwrap();
    let (status, body) = desk.ask(Some(&bearer), &desk.path("rsa.pub")).await;
    assert_eq!(status, 200, "{body}");
    desk.certificate(&issue(&api, "dev", "me")).await;
    desk.refuses(&bearer, 429, "try again later").await;
    desk.certificate(&issue(&api, "dev", "you")).await;
    let limited = "podgate_signer_certificates_total{source=\"kubernetes\",outcome=\"limited\"} 1";
    desk.signer.counts(super::SOON, &[limited]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_have_the_api_server_asked_so_often() {
    let (desk, api) = Desk::alone("").await;
    let key = desk.path("id.pub");
    // Good tokens are not counted.
    desk.certificate(&issue(&api, "dev", "me")).await;
    let mut refused = 0;
    let limited = loop {
        let unknown = unsigned(&claims(json!("podgate")));
        match desk.ask(Some(&unknown), &key).await {
            (401, _) => refused += 1,
            other => break other,
        }
        assert!(refused < 1000, "everything is asked");
    };
    assert!(
        limited.0 == 429 && limited.1.contains("from your address"),
        "{limited:?}"
    );
    assert_eq!(api.requests("create", "tokenreviews"), 1 + refused);
    // A client from another address does not notice.
    let header = format!("Authorization: Bearer {}", issue(&api, "dev", "you"));
    let (status, body) = desk.curl_from("127.0.0.2", Some(&header), &key).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_without_its_secret_waits_and_lets_enrolment_be() {
    let secret = "  ca: {secret: {namespace: podgate, name: later}}\n";
    let (desk, api) = Desk::alone(secret).await;
    let ready = || async { (desk.signer.admin("/readyz").await.ok()?.0 == 200).then_some(()) };
    eventually("enrolment", super::SOON, ready).await.unwrap();
    let bearer = issue(&api, "dev", "me");
    desk.refuses(&bearer, 503, "the desk has no CA yet").await;
    // If no certificate could be given, nobody is asked about the token.
    assert_eq!(api.requests("create", "tokenreviews"), 0);
    api.add_object("secrets", "podgate", "later");
    let key = desk.path("id.pub");
    let issued = || async { (desk.ask(Some(&bearer), &key).await.0 == 200).then_some(()) };
    eventually("a certificate", super::SOON, issued)
        .await
        .unwrap();
}
