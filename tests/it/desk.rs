//! The desk: a token and a public key become a certificate, by real curl, and ssh logs in with it.

mod hosts;
mod oidc;
mod plugin;
mod refusals;
mod replaced;
mod saturated;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use podgate_tests::fixtures::gateway::Part;
use podgate_tests::fixtures::pki::Pki;
use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::ssh::keygen;
use podgate_tests::stand_ins::apiserver::{ApiServer, Rbac, Token, group, rule};
use podgate_tests::stand_ins::cluster::Cluster;
use podgate_tests::stand_ins::issuer::unsigned;
use russh::keys::Certificate;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(30);

/// A signer with a desk, and the folder of its files, its CA and a user's key.
struct Desk {
    signer: Part,
    url: String,
    dir: TempDir,
}

/// A folder with a key of the user CA, before anybody trusts it.
async fn authority() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("user_ca");
    keygen(&path, &["-t", "ed25519"]).await.unwrap();
    dir
}

impl Desk {
    /// With lines for `desk`, in a folder of [`authority`].
    async fn start(dir: TempDir, api: &ApiServer, pki: &Pki, lines: &str) -> Self {
        let path = dir.path();
        api.kubeconfig(&path.join("kubeconfig")).unwrap();
        for name in ["podgate-ca", "podgate-user-ca"] {
            api.add_object("secrets", "podgate", name);
        }
        api.add_object("configmaps", "podgate", "podgate-ca");
        let ca = match lines.contains("  ca:") {
            true => "",
            false => "  ca: {file: 'DIR/user_ca'}\n",
        };
        pki.issue(&["127.0.0.1"])
            .unwrap()
            .write(path, "desk")
            .unwrap();
        pki.write_ca(path).unwrap();
        let config = format!(
            "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nkubeconfig: 'DIR/kubeconfig'\n\
             ca: {{secret: {{namespace: podgate, name: podgate-ca}}}}\n\
             bundle: {{namespace: podgate, name: podgate-ca}}\n\
             enrolment:\n\
             \x20 agents: {{namespace: podgate, serviceAccount: podgate-agent}}\n\
             \x20 frontdoors: {{namespace: podgate, serviceAccount: podgate-frontdoor}}\n\
             log: {{format: json, level: debug}}\n\
             desk:\n  listen: 127.0.0.1:0\n  tls: {{cert: 'DIR/desk.crt', key: 'DIR/desk.key'}}\n\
             {ca}{lines}",
        );
        let config = config.replace("DIR", &path.display().to_string());
        let file = path.join("signer.yaml");
        std::fs::write(&file, config).unwrap();
        let signer = Part::start("podgate-signer", &file).await.unwrap();
        let serving = signer
            .wait_log(SOON, |line| line["message"] == "serving")
            .await;
        let address = serving.unwrap()["desk"].as_str().unwrap().to_owned();
        let key = path.join("id");
        keygen(&key, &["-t", "ed25519"]).await.unwrap();
        let url = format!("https://{address}");
        Self { signer, url, dir }
    }

    /// The same with an API server of its own.
    async fn alone(lines: &str) -> (Self, ApiServer) {
        let pki = Pki::new().unwrap();
        let api = ApiServer::start(Cluster::new(), &pki).await.unwrap();
        let desk = Self::start(authority().await, &api, &pki, lines).await;
        (desk, api)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Status and body of what curl gets for a file, a token in its header.
    async fn ask(&self, token: Option<&str>, body: &Path) -> (u16, String) {
        let header = token.map(|token| format!("Authorization: Bearer {token}"));
        self.curl(header.as_deref(), body).await
    }

    async fn curl(&self, header: Option<&str>, body: &Path) -> (u16, String) {
        self.curl_from("127.0.0.1", header, body).await
    }

    /// The same from another address of the loopback.
    async fn curl_from(&self, from: &str, header: Option<&str>, body: &Path) -> (u16, String) {
        let mut curl = Command::new("curl");
        curl.args(["--interface", from]);
        curl.args(["-s", "-m", "30", "-w", "\n%{http_code}", "--cacert"])
            .arg(self.path("ca.crt"))
            .args(["-H", "@-", "--data-binary"])
            .arg(format!("@{}", body.display()))
            .arg(format!("{}/v1/certificate", self.url))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = curl.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let header = header.unwrap_or_default().to_owned();
        stdin.write_all(header.as_bytes()).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// The certificate for a token that must get one.
    async fn certificate(&self, token: &str) -> Certificate {
        let (status, body) = self.ask(Some(token), &self.path("id.pub")).await;
        assert_eq!(status, 200, "{body}");
        Certificate::from_openssh(&body).unwrap()
    }

    /// Asks with a token that must be refused, with this status and these words.
    async fn refuses(&self, token: &str, status: u16, words: &str) {
        let (found, body) = self.ask(Some(token), &self.path("id.pub")).await;
        assert!(
            found == status && body.contains(words),
            "{words:?} is not {found} {body:?}"
        );
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// Claims of a token for these audiences, good for ten minutes. Each is another token.
fn claims(audiences: Value) -> Value {
    json!({"aud": audiences, "exp": now() + 600, "iat": now(), "jti": fastrand::u64(..)})
}

/// A ServiceAccount's token for the desk, as the API server gives one.
pub(crate) fn issue(api: &ApiServer, namespace: &str, name: &str) -> String {
    let bearer = unsigned(&claims(json!(["podgate"])));
    let token = Token::service_account(namespace, name)
        .extra("authentication.kubernetes.io/credential-id", &["JTI=1"])
        .audience("podgate");
    api.add_token(&bearer, token);
    bearer
}

/// A stand whose frontdoor trusts the desk's CA once its key is in this file.
async fn trusting(authorities: &Path) -> Stand {
    let changes = Changes {
        frontdoor: format!(
            "authn: {{certificates: [{{authorities: '{}', optional: true, desk: true, trustSystem: true}}]}}\n",
            authorities.display()
        ),
        ..Changes::default()
    };
    Stand::embedded(changes).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_accounts_token_becomes_a_certificate_that_logs_in() {
    // As at an installation: the frontdoor runs before anybody has made the CA.
    let bundle = tempfile::tempdir().unwrap();
    let trusted = bundle.path().join("user_ca.pub");
    let stand = trusting(&trusted).await;
    let enter = rule(&["create"], &[""], &["pods/exec"]);
    let rbac = Rbac::default().role("default", "enter", &[enter]).bind(
        "default",
        "prod",
        "Role/enter",
        &[group("system:serviceaccounts:prod")],
    );
    stand.api.set_rbac(rbac);
    let secret = "  ca: {secret: {namespace: podgate, name: podgate-user-ca}}\n";
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::start(dir, &stand.api, &stand.pki, secret).await;
    let folder = bundle.path();
    stand
        .api
        .mount("configmaps", "podgate", "podgate-ca", folder);
    let published = || async { trusted.exists().then_some(()) };
    eventually("a key in the bundle", SOON, published)
        .await
        .unwrap();

    // A user without any group that has rights can enter nothing, but is known.
    let (client, _) = stand.stranger("me").await.unwrap();
    let key = stand.dir().join("me/id.pub");
    let path = stand.dir().join("me/id-cert.pub");
    let certify = async |namespace: &str| {
        let bearer = issue(&stand.api, namespace, "me");
        let (status, line) = desk.ask(Some(&bearer), &key).await;
        assert_eq!(status, 200, "{line}");
        std::fs::write(&path, line).unwrap();
        bearer
    };
    let bearer = certify("dev").await;
    let who = client.run(&[], "whoami", "").await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&who.stdout),
        "user: system:serviceaccount:dev:me\n\
         groups: system:serviceaccounts, system:serviceaccounts:dev, system:authenticated\n\
         authentication.kubernetes.io/credential-id: JTI=1\n\
         source: kubernetes\n"
    );
    let refused = client.run(&[], "demo", "echo ran").await.unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(255), "{text}");
    assert!(text.contains("you may not enter it"), "{text}");
    certify("prod").await;
    let entered = client.run(&[], "demo", "echo entered").await.unwrap();
    let text = String::from_utf8_lossy(&entered.stderr);
    assert_eq!(entered.stdout, b"entered\n", "{text}");
    let source = |line: &Value| line["message"] == "login" && line["source"] == "kubernetes";
    stand.frontdoor.wait_log(SOON, source).await.unwrap();

    // As ssh-keygen reads it.
    let shown = Command::new("ssh-keygen")
        .args(["-L", "-f"])
        .arg(&path)
        .output()
        .await
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    for words in [
        "user certificate",
        "Key ID: \"system:serviceaccount:prod:me\"",
        "user:system:serviceaccount:prod:me",
        "group:system:serviceaccounts:prod",
        "Critical Options: (none)",
        "permit-pty",
        "permit-port-forwarding",
        "permit-agent-forwarding",
    ] {
        assert!(shown.contains(words), "{words:?} is not in {shown}");
    }

    // Another signer with the same Secret signs with the same key.
    let dir = tempfile::tempdir().unwrap();
    let config = std::fs::read_to_string(desk.path("signer.yaml")).unwrap();
    let again = dir.path().join("signer.yaml");
    std::fs::write(&again, config).unwrap();
    let mut updates = stand.api.requests("update", "secrets");
    let second = Part::start("podgate-signer", &again).await.unwrap();
    updates = stand.api.requests("update", "secrets") - updates;
    assert_eq!(updates, 0, "a CA that is there was made anew");
    drop(second);

    // The exchange was counted and logged, and the token was not.
    let counted = "podgate_signer_certificates_total{source=\"kubernetes\",outcome=\"issued\"} 2";
    desk.signer.counts(SOON, &[counted]).await.unwrap();
    let issued = |line: &Value| {
        line["message"] == "certificate issued"
            && line["user"] == "system:serviceaccount:prod:me"
            && line["serial"].is_u64()
            && line["key"]
                .as_str()
                .is_some_and(|key| key.starts_with("SHA256:"))
    };
    desk.signer.wait_log(SOON, issued).await.unwrap();
    let log = desk.signer.log().join("\n");
    let payload = bearer.split('.').nth(1).unwrap();
    assert!(!log.contains(payload), "the token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_good_no_longer_than_its_token() {
    let lines = "  lifetimeSeconds: 3600\n  permit: [pty]\n";
    let (desk, api) = Desk::alone(lines).await;
    let mut certificates = vec![];
    for (expires, lasts) in [(600, 600), (7200, 3600)] {
        let mut claims = claims(json!("podgate"));
        let begun = now();
        claims["exp"] = json!(begun + expires);
        let bearer = unsigned(&claims);
        api.add_token(&bearer, Token::of("ada").audience("podgate"));
        let certificate = desk.certificate(&bearer).await;
        let (after, before) = (certificate.valid_after(), certificate.valid_before());
        assert!((begun - 60..=now() - 60).contains(&after), "{after}");
        assert!(
            (begun + lasts..=now() + lasts).contains(&before),
            "{before}"
        );
        assert!(before <= begun + expires);
        let permits: Vec<_> = certificate.extensions().keys().collect();
        assert_eq!(permits, ["identity@podgate", "permit-pty"]);
        certificates.push(certificate);
    }
    assert_ne!(certificates[0].serial(), certificates[1].serial());
    assert_eq!(certificates[0].key_id(), "ada");
}
