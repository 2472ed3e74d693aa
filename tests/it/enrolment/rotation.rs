//! The CA is replaced by another. Nobody notices, and in the end certificates of the old CA are
//! worthless.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podgate_tests::fixtures::stand::enrolled::{CA, Config, NAMESPACE};
use podgate_tests::fixtures::stand::{NODE, NODE_IP, Stand};
use podgate_tests::instruments::eventually::eventually;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::{SOON, dial, echo, ready, stand, works};

/// A value of a CA's Secret.
fn value(secret: &Value, key: &str) -> Option<String> {
    let value = secret["data"][key].as_str()?;
    Some(String::from_utf8(STANDARD.decode(value).unwrap()).unwrap())
}

/// How many CAs parts trust, by a bundle's ConfigMap.
fn trusted(bundle: &Value) -> usize {
    let text = bundle["data"]["ca.crt"].as_str().unwrap_or_default();
    text.matches("BEGIN CERTIFICATE").count()
}

fn version(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str().unwrap();
    version.parse().unwrap()
}

/// The versions of the CA's Secret or the bundle's ConfigMap, from the first `wanted` one on, which
/// this waits for. The present version may be later than the one that a test wants to see.
async fn since(stand: &Stand, resource: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let look = || async {
        let mut all = stand.api.object_history(resource, NAMESPACE, CA);
        let first = all.iter().position(&wanted)?;
        Some(all.split_off(first))
    };
    eventually(resource, SOON, look).await.unwrap()
}

/// The version of one object when the other had just been written.
fn when(stand: &Stand, resource: &str, other: &Value) -> Value {
    let mut all = stand.api.object_history(resource, NAMESPACE, CA);
    all.retain(|object| version(object) < version(other));
    all.pop().unwrap()
}

fn bundle(stand: &Stand) -> PathBuf {
    stand.dir().join("bundle/ca.crt")
}

/// Whether the agent lets in a frontdoor whose certificate is by this CA.
async fn lets_in(stand: &Stand, ca: &str, key: &str) -> bool {
    let ca_key = KeyPair::from_pem(key).unwrap();
    let issuer = Issuer::from_ca_cert_pem(ca, ca_key).unwrap();
    let mut params = CertificateParams::new(vec!["frontdoor.podgate".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let own = KeyPair::generate().unwrap();
    let issued = params.signed_by(&own, &issuer).unwrap();
    let key = PrivateKeyDer::from_pem_slice(own.serialize_pem().as_bytes()).unwrap();
    let (name, bundle) = (format!("{NODE}.agent.podgate"), bundle(stand));
    let own = (issued.der().clone(), key);
    let mut stream = dial((NODE_IP, stand.agent.port()), &name, &bundle, Some(own)).await;
    // With TLS 1.3 a client learns of its refusal only when it reads. A server that accepts it begins
    // HTTP/2.
    let mut byte = [0];
    matches!(stream.read(&mut byte).await, Ok(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_go_on_while_the_ca_is_replaced() {
    let config = Config {
        lifetime: 6,
        spread: 2,
        ..Config::default()
    };
    let stand = stand(config).await;
    let mut session = echo(&stand).await;
    let first = stand.api.object("secrets", NAMESPACE, CA).unwrap();
    let (old, old_key) = (value(&first, "tls.crt"), value(&first, "tls.key"));
    let (old, old_key) = (old.unwrap(), old_key.unwrap());
    assert!(lets_in(&stand, &old, &old_key).await);

    // An administrator does this: `kubectl annotate secret podgate-ca podgate/rotate=now`.
    let ask = |secret: &mut Value| {
        secret["metadata"]["annotations"]["podgate/rotate"] = "now".into();
    };
    stand.api.edit_object("secrets", NAMESPACE, CA, ask);
    let both = since(&stand, "configmaps", |bundle| trusted(bundle) == 2).await;
    let secret = when(&stand, "secrets", &both[0]);
    let next = value(&secret, "next.crt").unwrap();
    assert_eq!(value(&secret, "tls.crt").unwrap(), old, "too early");
    session.again().await.unwrap();
    assert!(works(&stand).await);

    let is_next = |secret: &Value| value(secret, "tls.crt").as_ref() == Some(&next);
    let issues = since(&stand, "secrets", is_next).await;
    assert_eq!(value(&issues[0], "next.key"), None);
    let new_key = value(&issues[0], "tls.key").unwrap();
    assert_ne!(new_key, old_key);
    let bundle = when(&stand, "configmaps", &issues[0]);
    assert_eq!(trusted(&bundle), 2, "the old CA's certificates still serve");
    session.again().await.unwrap();
    assert!(works(&stand).await);

    let last = version(&both[0]);
    let alone = |bundle: &Value| version(bundle) > last && trusted(bundle) == 1;
    since(&stand, "configmaps", alone).await;
    session.again().await.unwrap();
    assert!(works(&stand).await);
    for part in [&stand.agent, &stand.frontdoor] {
        ready(part, 200).await;
    }
    assert!(lets_in(&stand, &next, &new_key).await);
    assert!(
        !lets_in(&stand, &old, &old_key).await,
        "the old CA is trusted"
    );
}
