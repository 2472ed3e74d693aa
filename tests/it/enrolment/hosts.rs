//! The signer certifies the host keys of frontdoors: clients that trust its CA need to know no key. The
//! clients are OpenSSH's.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podgate_proto::v1::EnrolRequest;
use podgate_tests::fixtures::stand::enrolled::{
    self, AUDIENCE, Config, HOST_CA, NAMESPACE, bearer, token,
};
use podgate_tests::fixtures::stand::{NODE, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::ssh::{Client, keygen};
use podgate_tests::stand_ins::issuer::unsigned;
use rcgen::KeyPair;
use russh::keys::{Certificate, PublicKey};
use serde_json::json;
use tokio::process::Command;

use super::{SOON, call, count, ready, stand};

/// The name by which clients know the frontdoor.
const NAME: &str = "127.0.0.1";
/// Far shorter than the tests' times.
const SHORT: u32 = 6;

/// The CA's keys in the mounted bundle, once there are so many: the one that signs comes first.
async fn lines(dir: &Path, wanted: usize) -> Vec<String> {
    let look = || async {
        let text = std::fs::read_to_string(dir.join("bundle/host_ca.pub")).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines: Vec<_> = lines.map(str::to_owned).collect();
        (lines.len() == wanted).then_some(lines)
    };
    eventually("CAs of hosts", SOON, look).await.unwrap()
}

/// A client that trusts these CAs, and knows no key.
fn trusting(stand: &Stand, lines: &[String]) -> Client {
    let dir = stand.dir().join("trusting");
    let _ = std::fs::create_dir(&dir);
    std::fs::copy(stand.dir().join("id"), dir.join("id")).unwrap();
    let known: String = lines
        .iter()
        .map(|line| format!("@cert-authority {NAME} {line}\n"))
        .collect();
    std::fs::write(dir.join("known_hosts"), known).unwrap();
    Client::new(&dir, stand.frontdoor.port())
}

async fn lets_in(client: &Client) -> bool {
    let ran = client.run(&[], "demo", "echo works").await.unwrap();
    ran.stdout == b"works\n"
}

/// A part's request for certificates of its own and of host keys.
fn request(bearer: &str, host_keys: &[Vec<u8>]) -> EnrolRequest {
    let key = KeyPair::generate().unwrap();
    EnrolRequest {
        protocol_version: 1,
        token: bearer.to_owned(),
        public_key: key.public_key_raw().to_vec().into(),
        host_keys: host_keys.iter().map(|key| key.clone().into()).collect(),
        ..EnrolRequest::default()
    }
}

async fn another_ca(stand: &Stand, name: &str) -> String {
    let path = stand.dir().join(name);
    keygen(&path, &["-t", "ed25519"]).await.unwrap();
    let line = std::fs::read_to_string(path.with_extension("pub")).unwrap();
    line.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_trust_the_signer_need_to_know_no_host_key() {
    let config = Config {
        lifetime: SHORT,
        host: Some(NAME),
        ..Config::default()
    };
    let stand = stand(config).await;
    let first = lines(stand.dir(), 1).await;
    // The frontdoor may have enrolled before the CA was made. It has a certificate when its metric says so.
    let certified = || async {
        let name = "podgate_frontdoor_host_certificate_expiry_timestamp_seconds";
        let until = count(&stand.frontdoor, name).await;
        (until > 0).then_some(until)
    };
    let until = eventually("a host certificate", SOON, certified)
        .await
        .unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let days = (until - now.as_secs()) / 86_400;
    assert!((6..=7).contains(&days), "{days}");
    assert!(lets_in(&trusting(&stand, &first)).await);
    let other = another_ca(&stand, "other_ca").await;
    assert!(!lets_in(&trusting(&stand, &[other])).await, "another CA");

    // The next key signs. Clients that know both keys see no difference, and the frontdoor is not
    // restarted.
    let next = another_ca(&stand, "host_ca").await;
    let text = std::fs::read_to_string(stand.dir().join("host_ca")).unwrap();
    stand
        .api
        .edit_object("secrets", NAMESPACE, HOST_CA, |secret| {
            secret["data"] = json!({"host_ca": STANDARD.encode(text)});
        });
    let both = [first[0].clone(), next.clone()];
    assert!(lets_in(&trusting(&stand, &both)).await);
    let alone = trusting(&stand, std::slice::from_ref(&next));
    let renewed = || async { lets_in(&alone).await.then_some(()) };
    eventually("a certificate of the next CA", SOON, renewed)
        .await
        .unwrap();
    assert!(lets_in(&trusting(&stand, &both)).await);
    let trusted = lines(stand.dir(), 2).await;
    let key = |line: &str| line.parse::<PublicKey>().unwrap().key_data().clone();
    assert_eq!((key(&trusted[0]), &trusted[1]), (key(&next), &first[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn frontdoors_alone_get_host_certificates_and_the_link_needs_none() {
    let config = Config {
        host: Some(NAME),
        ..Config::default()
    };
    let stand = stand(config).await;
    let signer = stand.signer.as_ref().unwrap();
    ready(signer, 200).await;
    lines(stand.dir(), 1).await;
    let key = another_ca(&stand, "some_key").await;
    let key = key.parse::<PublicKey>().unwrap();
    let keys = [b"no key".to_vec(), key.to_bytes().unwrap()];
    let bundle = stand.dir().join("bundle/ca.crt");
    let ask = async |account: &str| {
        let request = request(&bearer(account), &keys);
        call(signer.port(), &bundle, request).await.unwrap()
    };

    let answer = ask("frontdoor").await;
    assert_eq!((answer.host_certificates.len(), answer.ask_again), (1, 0));
    let certificate = Certificate::from_bytes(&answer.host_certificates[0]).unwrap();
    assert!(certificate.cert_type().is_host());
    assert_eq!(certificate.public_key(), key.key_data());
    assert_eq!(certificate.valid_principals(), [NAME]);
    let answer = ask("agent").await;
    assert!(answer.host_certificates.is_empty() && answer.ask_again == 0);
    signer
        .counts(
            SOON,
            &["podgate_signer_host_certificates_total{outcome=\"key\"} 1"],
        )
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontdoor_enrols_while_the_secret_of_the_ca_is_missing() {
    let (dir, pki) = (
        tempfile::tempdir().unwrap(),
        podgate_tests::fixtures::pki::Pki::new().unwrap(),
    );
    let cluster = podgate_tests::stand_ins::cluster::Cluster::new();
    let api = podgate_tests::stand_ins::apiserver::ApiServer::start(cluster, &pki);
    let api = api.await.unwrap();
    api.kubeconfig(&dir.path().join("kubeconfig")).unwrap();
    enrolled::prepare(&api, dir.path()).unwrap();
    let config = Config {
        host: Some(NAME),
        ..Config::default()
    };
    let signer = enrolled::signer(dir.path(), 0, config).await.unwrap();
    ready(&signer, 200).await;
    let bearer = unsigned(&json!({"aud": [AUDIENCE], "sub": "frontdoor"}));
    api.add_token(&bearer, token("frontdoor", NODE));
    let key = dir.path().join("key");
    keygen(&key, &["-t", "ed25519"]).await.unwrap();
    let line = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let key = line.parse::<PublicKey>().unwrap().to_bytes().unwrap();
    let bundle = dir.path().join("bundle/ca.crt");
    let ask = async || {
        let request = request(&bearer, std::slice::from_ref(&key));
        call(signer.port(), &bundle, request).await.unwrap()
    };
    let answer = ask().await;
    assert!(answer.host_certificates.is_empty() && answer.lifetime > 0);
    assert_eq!(answer.ask_again, 60);
    api.add_object("secrets", NAMESPACE, HOST_CA);
    lines(dir.path(), 1).await;
    let answer = ask().await;
    assert_eq!((answer.host_certificates.len(), answer.ask_again), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_podgate_writes_the_line_of_the_ca() {
    let config = Config {
        host: Some(NAME),
        lifetime: SHORT,
        ..Config::default()
    };
    let stand = stand(config).await;
    let ca = lines(stand.dir(), 1).await.remove(0);
    let home = stand.dir().join("a home");
    std::fs::create_dir(&home).unwrap();
    let key = home.join("id");
    std::fs::copy(stand.dir().join("id"), &key).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR"));
    let port = stand.frontdoor.port().to_string();
    let written = Command::new("sh")
        .arg(plugin.join("../charts/podgate/kubectl-podgate"))
        .args([
            "config", "--host", NAME, "--port", &port, "--write", "--key",
        ])
        .arg(&key)
        .args(["--host-ca", &ca])
        .env("HOME", &home)
        .output()
        .await
        .unwrap();
    assert!(written.status.success(), "{written:?}");
    let file = home.join(".ssh/podgate.conf");
    let all = stand.dir().join("ssh_config");
    std::fs::write(&all, format!("Include \"{}\"\n", file.display())).unwrap();
    let ssh = |host: &'static str| {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(&all);
        ssh.args(["-oBatchMode=yes", "-oIdentityAgent=none", host]);
        ssh.stdin(Stdio::null());
        ssh
    };
    let works = || async {
        let who = ssh("podgate").output().await.unwrap();
        who.status.success().then_some(())
    };
    eventually("whoami", SOON, works).await.unwrap();
    let who = ssh("whoami.pod").output().await.unwrap();
    let text = String::from_utf8_lossy(&who.stderr);
    assert!(who.status.success(), "inside of a jump: {text}");
}
