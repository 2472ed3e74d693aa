//! Who gets no certificate.

use podgate_proto::v1::EnrolRequest;
use podgate_tests::fixtures::pki::Pki;
use podgate_tests::fixtures::stand::enrolled::{self, AUDIENCE, Config, NAMESPACE, token};
use podgate_tests::stand_ins::apiserver::{ApiServer, Token};
use podgate_tests::stand_ins::cluster::Cluster;
use podgate_tests::stand_ins::issuer::unsigned;
use serde_json::json;
use tonic::{Code, Status};

use super::{SOON, call, ready};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_must_be_for_this_and_a_parts() {
    let (dir, pki) = (tempfile::tempdir().unwrap(), Pki::new().unwrap());
    let api = ApiServer::start(Cluster::new(), &pki).await.unwrap();
    api.kubeconfig(&dir.path().join("kubeconfig")).unwrap();
    enrolled::prepare(&api, dir.path()).unwrap();
    let signer = enrolled::signer(dir.path(), 0, Config::default())
        .await
        .unwrap();
    ready(&signer, 200).await;
    let bundle = dir.path().join("bundle/ca.crt");
    // A request of the first release, which knows one version and sends neither a range nor its name.
    let request = |bearer: &str| EnrolRequest {
        protocol_version: 1,
        token: bearer.to_owned(),
        public_key: [&[4][..], &[7; 64]].concat().into(),
        ..EnrolRequest::default()
    };
    let bearer = |what: &str, audiences: &[&str]| {
        unsigned(&json!({"aud": audiences, "sub": format!("secret-{what}")}))
    };
    let check = async |what: &str, token: Option<Token>, expect: Result<(), Code>| {
        let bearer = bearer(what, &[AUDIENCE]);
        if let Some(token) = token {
            api.add_token(&bearer, token);
        }
        let answer = call(signer.port(), &bundle, request(&bearer)).await;
        let found = answer.as_ref().map(drop).map_err(Status::code);
        assert_eq!(found, expect, "{what}: {answer:?}");
    };
    let account = |name: &str| Token::service_account(NAMESPACE, name).audience(AUDIENCE);
    let pod = "authentication.kubernetes.io/pod-name";
    let no = Err(Code::Unauthenticated);
    let denied = Err(Code::PermissionDenied);
    check("agent", Some(token("agent", "node-a")), Ok(())).await;
    check("frontdoor", Some(token("frontdoor", "node-a")), Ok(())).await;
    check("unknown", None, no).await;
    // Without an audience a token is for the API server; with another one it is for somebody else.
    let other = Token::service_account(NAMESPACE, "agent");
    check("for-the-api-server", Some(other.clone()), no).await;
    check("for-another", Some(other.audience("podgate")), no).await;
    check("a-user", Some(Token::of("ada").audience(AUDIENCE)), denied).await;
    check("not-a-part", Some(token("default", "node-a")), denied).await;
    check("bound-to-no-pod", Some(account("agent")), denied).await;
    let no_node = account("agent").extra(pod, &["agent-x"]);
    check("of-an-old-server", Some(no_node), denied).await;

    // An agent's token that another service takes, too; and one that does not say for whom it is.
    for (bearer, code) in [
        (bearer("two", &[AUDIENCE, "vault"]), Code::Unauthenticated),
        (bearer("none", &[]), Code::Unauthenticated),
        ("opaque".to_owned(), Code::Unauthenticated),
    ] {
        api.add_token(&bearer, token("agent", "node-a").audience("vault"));
        let answer = call(signer.port(), &bundle, request(&bearer)).await;
        assert_eq!(answer.unwrap_err().code(), code, "{bearer}");
    }

    // A token that has expired since.
    api.remove_token(&bearer("agent", &[AUDIENCE]));
    check("agent", None, no).await;

    let frontdoor = bearer("frontdoor", &[AUDIENCE]);
    let mut odd = request(&frontdoor);
    odd.public_key = vec![4; 64].into();
    let answer = call(signer.port(), &bundle, odd).await;
    assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument);
    let mut later = request(&frontdoor);
    later.highest_version = 9;
    let answer = call(signer.port(), &bundle, later).await;
    assert_eq!(answer.unwrap().version, 1);
    let mut last = request(&frontdoor);
    (last.protocol_version, last.highest_version) = (8, 9);
    last.release = "9.8.7".to_owned();
    let refused = call(signer.port(), &bundle, last).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let signers = format!("(release {})", env!("CARGO_PKG_VERSION"));
    for words in ["(release 9.8.7) versions 8 to 9", &*signers] {
        assert!(refused.message().contains(words), "{refused:?}");
    }
    let long = request(&"x".repeat(100_000));
    let answer = call(signer.port(), &bundle, long).await;
    assert_eq!(answer.unwrap_err().code(), Code::OutOfRange);

    let counted = [
        "podgate_signer_enrolments_total{outcome=\"enrolled\"} 3",
        "podgate_signer_enrolments_total{outcome=\"token\"} 7",
        "podgate_signer_enrolments_total{outcome=\"caller\"} 4",
        "podgate_signer_enrolments_total{outcome=\"version\"} 1",
    ];
    signer.counts(SOON, &counted).await.unwrap();
    let log = signer.log().join("\n");
    assert!(log.contains("Kubernetes 1.30"), "{log}");
    let payload = frontdoor.split('.').nth(1).unwrap();
    assert!(!log.contains("secret-") && !log.contains(payload), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audience_of_the_api_servers_is_none_of_the_signers() {
    let (dir, pki) = (tempfile::tempdir().unwrap(), Pki::new().unwrap());
    let api = ApiServer::start(Cluster::new(), &pki).await.unwrap();
    let own = unsigned(&json!({"aud": ["https://api.example.com", AUDIENCE]}));
    let path = dir.path().join("kubeconfig");
    api.kubeconfig_of(&path, &own).unwrap();
    enrolled::prepare(&api, dir.path()).unwrap();
    let signer = enrolled::signer(dir.path(), 0, Config::default()).await;
    let error = format!("{:#}", signer.err().unwrap());
    assert!(error.contains("enrolment.audience: "), "{error}");
}
