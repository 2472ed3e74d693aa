//! What replicas share, they make once: the second one takes what is there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podgate_tests::fixtures::gateway::Part;
use podgate_tests::fixtures::pki::Pki;
use podgate_tests::fixtures::stand::enrolled::{self, CA, Config, NAMESPACE};
use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::real::ssh::Client;
use podgate_tests::stand_ins::apiserver::ApiServer;
use podgate_tests::stand_ins::cluster::Cluster;

use super::ready;

#[tokio::test(flavor = "multi_thread")]
async fn two_signers_make_one_ca() {
    let (dir, pki) = (tempfile::tempdir().unwrap(), Pki::new().unwrap());
    let api = ApiServer::start(Cluster::new(), &pki).await.unwrap();
    api.kubeconfig(&dir.path().join("kubeconfig")).unwrap();
    enrolled::prepare(&api, dir.path()).unwrap();
    // Both see that it is not there yet.
    api.gather("get", "secrets", 2);
    let (one, other) = tokio::join!(
        enrolled::signer(dir.path(), 0, Config::default()),
        enrolled::signer(dir.path(), 0, Config::default())
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    ready(&one, 200).await;
    ready(&other, 200).await;
    // Both wanted to make it, and the second one was told that it exists.
    assert!(api.requests("update", "secrets") >= 2);
    let bundle = std::fs::read_to_string(dir.path().join("bundle/ca.crt")).unwrap();
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 1);
    let secret = api.object("secrets", NAMESPACE, CA).unwrap();
    let of_secret = secret["data"]["tls.crt"].as_str().unwrap();
    let of_secret = String::from_utf8(STANDARD.decode(of_secret).unwrap()).unwrap();
    let bare = |pem: &str| pem.split_whitespace().collect::<String>();
    assert_eq!(bare(&of_secret), bare(&bundle));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_frontdoors_have_one_host_key() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let name = "podgate-host-keys";
    stand.api.add_object("secrets", NAMESPACE, name);
    let config = std::fs::read_to_string(stand.dir().join("podgate-frontdoor.yaml")).unwrap();
    let files = format!("hostKeys: ['{}/host']", stand.dir().display());
    assert!(config.contains(&files), "{config}");
    let secret = format!("hostKeysSecret: {{namespace: {NAMESPACE}, name: {name}}}");
    let path = stand.dir().join("shared.yaml");
    std::fs::write(&path, config.replace(&files, &secret)).unwrap();
    stand.api.gather("get", "secrets", 2);
    let start = || Part::start("podgate-frontdoor", &path);
    let (one, other) = tokio::join!(start(), start());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(stand.api.requests("update", "secrets"), 2);

    // A client that knows the one key accepts both frontdoors.
    let secret = stand.api.object("secrets", NAMESPACE, name).unwrap();
    let key = secret["data"]["ssh_host_ed25519_key"].as_str().unwrap();
    let dir = stand.dir().join("shared");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("key"), STANDARD.decode(key).unwrap()).unwrap();
    std::fs::copy(stand.dir().join("id"), dir.join("id")).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(dir.join("key"), private).unwrap();
    let public = std::process::Command::new("ssh-keygen")
        .arg("-yf")
        .arg(dir.join("key"))
        .output()
        .unwrap();
    let public = String::from_utf8(public.stdout).unwrap();
    for part in [&one, &other] {
        let known = format!("[127.0.0.1]:{} {public}", part.port());
        std::fs::write(dir.join("known_hosts"), known).unwrap();
        let client = Client::new(&dir, part.port());
        let output = client.run(&[], "demo", "echo works").await.unwrap();
        assert_eq!(output.stdout, b"works\n", "{output:?}");
        assert!(!part.log().join("\n").contains("PRIVATE KEY"));
    }
}
