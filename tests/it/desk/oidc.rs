//! Id tokens of issuers: which users they name, which keys may sign them, and what happens while keys
//! change or issuers are away.

use podgate_tests::fixtures::pki::Pki;
use podgate_tests::stand_ins::apiserver::ApiServer;
use podgate_tests::stand_ins::cluster::Cluster;
use podgate_tests::stand_ins::issuer::{Issuer, SigningKey, unsigned};
use serde_json::{Value, json};

use super::{Desk, authority, now};

/// A desk that knows two issuers. One has RSA and EC keys, and its users are of `example`. The other
/// names users by their e-mail address, without a prefix.
struct OidcDesk {
    desk: Desk,
    issuer: Issuer,
    mail: Issuer,
    rsa: SigningKey,
    ec: SigningKey,
    _api: ApiServer,
}

impl OidcDesk {
    async fn new() -> Self {
        let pki = Pki::new().unwrap();
        let api = ApiServer::start(Cluster::new(), &pki).await.unwrap();
        let (rsa, ec) = (
            SigningKey::rsa("r1").unwrap(),
            SigningKey::ec("e1").unwrap(),
        );
        let issuer = Issuer::start(&pki, &[&rsa, &ec]).await.unwrap();
        let mail = Issuer::start(&pki, &[&rsa]).await.unwrap();
        let lines = format!(
            "  oidc:\n\
             \x20 - {{issuerURL: '{}', clientID: podgate, groupsClaim: groups, groupsPrefix: 'idp:', \
             requiredClaims: {{hd: example}}, signingAlgs: [RS256, ES256], caFile: 'DIR/ca.crt'}}\n\
             \x20 - {{issuerURL: '{}', clientID: podgate, usernameClaim: email, groupsClaim: groups, \
             caFile: 'DIR/ca.crt'}}\n",
            issuer.url(),
            mail.url(),
        );
        let desk = Desk::start(authority().await, &api, &pki, &lines).await;
        Self {
            desk,
            issuer,
            mail,
            rsa,
            ec,
            _api: api,
        }
    }

    /// Claims of the first issuer, with these replaced.
    fn claims(&self, other: Value) -> Value {
        let mut claims = json!({
            "iss": self.issuer.url(), "sub": "ada", "aud": "podgate", "hd": "example",
            "exp": now() + 600, "iat": now(), "nbf": now(), "groups": ["dev", "system:masters"],
        });
        for (claim, value) in other.as_object().unwrap() {
            claims[claim] = value.clone();
        }
        claims
    }

    fn token(&self, other: Value) -> String {
        self.rsa.sign(&self.claims(other)).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_names_its_user_as_it_would_to_the_api_server() {
    let oidc = OidcDesk::new().await;
    let desk = &oidc.desk;
    let ada = format!("{}#ada", oidc.issuer.url());
    for key in [&oidc.rsa, &oidc.ec] {
        let token = key.sign(&oidc.claims(json!({}))).unwrap();
        let certificate = desk.certificate(&token).await;
        assert_eq!(certificate.key_id(), ada);
        // With a prefix, names are no longer those that are Kubernetes' own.
        assert_eq!(
            certificate.valid_principals(),
            [
                &format!("user:{ada}"),
                "group:idp:dev",
                "group:idp:system:masters"
            ]
        );
        let said = certificate.extensions().get("identity@podgate").unwrap();
        assert_eq!(said, r#"{"source":"oidc"}"#);
    }
    assert_eq!(oidc.issuer.asked(), 1);
    // A key's name is not needed, nor are groups. With several audiences, azp says who asked.
    let unnamed = oidc.rsa.sign_as(
        &json!({"alg": "RS256"}),
        &oidc.claims(json!({"groups": null})),
    );
    desk.certificate(&unnamed.unwrap()).await;
    let both = json!({"aud": ["podgate", "other"], "azp": "podgate"});
    desk.certificate(&oidc.token(both)).await;

    let mail = |other: Value| {
        let mut claims = oidc.claims(json!({"iss": oidc.mail.url(), "email": "ada@example"}));
        claims["groups"] = json!(["dev"]);
        for (claim, value) in other.as_object().unwrap() {
            claims[claim] = value.clone();
        }
        oidc.rsa.sign(&claims).unwrap()
    };
    let certificate = desk
        .certificate(&mail(json!({"email_verified": true})))
        .await;
    assert_eq!(certificate.key_id(), "ada@example");
    for (other, words) in [
        (json!({"email_verified": false}), "is not verified"),
        (json!({"email": "system:admin"}), "system:"),
        (json!({"groups": ["system:masters"]}), "system:"),
        (json!({"email": ""}), "is empty"),
    ] {
        desk.refuses(&mail(other), 403, words).await;
    }
    for other in [json!({"hd": "other"}), json!({"hd": null})] {
        desk.refuses(&oidc.token(other), 403, "claim hd").await;
    }
    let issued = "podgate_signer_certificates_total{source=\"oidc\",outcome=\"issued\"} 5";
    desk.signer.counts(super::SOON, &[issued]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_that_proves_nothing() {
    let oidc = OidcDesk::new().await;
    let desk = &oidc.desk;
    desk.certificate(&oidc.token(json!({}))).await;
    for (other, words) in [
        (json!({"aud": "other"}), "not for this client"),
        (json!({"aud": ["podgate", "other"]}), "not for this client"),
        (
            json!({"aud": ["podgate", "other"], "azp": "other"}),
            "not for this client",
        ),
        (json!({"aud": null}), "does not say"),
        (json!({"exp": now() - 2}), "expired"),
        (json!({"exp": null}), "does not say"),
        (json!({"nbf": now() + 900}), "not valid yet"),
        (json!({"iat": now() + 900}), "not valid yet"),
        (json!({"iat": "today"}), "does not say"),
    ] {
        desk.refuses(&oidc.token(other), 401, words).await;
    }
    // Signed by no key, by a secret that everybody knows, by another's key, by a key of the other kind.
    let claims = oidc.claims(json!({}));
    let none = unsigned(&claims).replace(
        unsigned(&json!(1)).split('.').next().unwrap(),
        "eyJhbGciOiJub25lIn0",
    );
    desk.refuses(&none, 401, "header").await;
    let header = json!({"alg": "HS256", "kid": "r1"});
    let shared = oidc.rsa.sign_as(&header, &claims).unwrap();
    desk.refuses(&shared, 401, "algorithm").await;
    let header = json!({"alg": "RS512", "kid": "r1"});
    let other = oidc.rsa.sign_as(&header, &claims).unwrap();
    desk.refuses(&other, 401, "algorithm").await;
    let forged = SigningKey::rsa("r1").unwrap().sign(&claims).unwrap();
    desk.refuses(&forged, 401, "not signed by a key of its issuer")
        .await;
    let header = json!({"alg": "ES256", "kid": "r1"});
    let mixed = oidc.ec.sign_as(&header, &claims).unwrap();
    desk.refuses(&mixed, 401, "not signed by a key of its issuer")
        .await;
    // Signed by one issuer's key, in the name of the other.
    let claims = json!({"iss": oidc.mail.url(), "email": "ada@example"});
    let crossed = oidc.ec.sign(&oidc.claims(claims)).unwrap();
    desk.refuses(&crossed, 401, "algorithm").await;
    // Tokens of an unknown issuer are left to the API server, for which this one was not meant.
    let stranger = oidc.token(json!({"iss": "https://127.0.0.1/other"}));
    desk.refuses(&stranger, 401, "the API server does not accept")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_and_issuers_go() {
    let oidc = OidcDesk::new().await;
    let (desk, issuer) = (&oidc.desk, &oidc.issuer);
    let old = oidc.token(json!({}));
    desk.certificate(&old).await;
    let next = SigningKey::ec("e2").unwrap();
    let new = next.sign(&oidc.claims(json!({}))).unwrap();
    desk.refuses(&new, 401, "not signed by a key of its issuer")
        .await;
    // After one unknown key has made the signer ask the issuer, it still asks for the next one.
    issuer.set_keys(&[&next]);
    desk.certificate(&new).await;
    let asked = issuer.asked();
    desk.refuses(&old, 401, "not signed by a key of its issuer")
        .await;

    issuer.set_up(false).await.unwrap();
    desk.certificate(&new).await;
    let unknown = SigningKey::ec("e3").unwrap();
    let unknown = unknown.sign(&oidc.claims(json!({}))).unwrap();
    desk.refuses(&unknown, 503, "cannot be asked for its keys")
        .await;
    desk.certificate(&new).await;
    assert_eq!(issuer.asked(), asked + 1);

    // An issuer that was never reached has no known keys, and its tokens are not believed.
    oidc.mail.set_up(false).await.unwrap();
    let claims = json!({"iss": oidc.mail.url(), "email": "ada@example"});
    let mail = oidc.token(claims);
    desk.refuses(&mail, 503, "cannot be asked for its keys")
        .await;
}
