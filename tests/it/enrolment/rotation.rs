//! The CA is replaced by another: nobody notices, and what the old one issued is worth nothing in
//! the end.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podgate_tests::containerd::eventually;
use podgate_tests::stand::enrolled::{CA, NAMESPACE, Times};
use podgate_tests::stand::{NODE, NODE_IP, Stand};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncReadExt;

use super::{SOON, dial, echo, ready, stand, works};

/// A value of the CA's Secret.
fn secret(stand: &Stand, key: &str) -> Option<String> {
    let secret = stand.api.object("secrets", NAMESPACE, CA).unwrap();
    let value = secret["data"][key].as_str()?;
    Some(String::from_utf8(STANDARD.decode(value).unwrap()).unwrap())
}

/// How many CAs parts trust.
fn trusted(stand: &Stand) -> usize {
    let bundle = std::fs::read_to_string(stand.dir().join("bundle/ca.crt")).unwrap();
    bundle.matches("BEGIN CERTIFICATE").count()
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let look = || async { is().then_some(()) };
    eventually(what, SOON, look).await.unwrap();
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
    let name = format!("{NODE}.agent.podgate");
    let bundle = stand.dir().join("bundle/ca.crt");
    let own = (issued.der().clone(), key);
    let mut stream = dial((NODE_IP, stand.agent.port()), &name, &bundle, Some(own)).await;
    // By TLS 1.3 a client hears of its refusal only as it reads; a server that takes it begins HTTP/2.
    let mut byte = [0];
    matches!(stream.read(&mut byte).await, Ok(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_go_on_while_the_ca_is_replaced() {
    let times = Times {
        lifetime: 6,
        spread: 2,
    };
    let stand = stand(times).await;
    let mut session = echo(&stand).await;
    let (old, old_key) = (secret(&stand, "tls.crt"), secret(&stand, "tls.key"));
    let (old, old_key) = (old.unwrap(), old_key.unwrap());
    assert_eq!(trusted(&stand), 1);
    assert!(lets_in(&stand, &old, &old_key).await);

    // What an administrator does: `kubectl annotate secret podgate-ca podgate/rotate=now`.
    let ask = |secret: &mut serde_json::Value| {
        secret["metadata"]["annotations"]["podgate/rotate"] = "now".into();
    };
    stand.api.edit_object("secrets", NAMESPACE, CA, ask);
    until("the next CA in the bundle", || trusted(&stand) == 2).await;
    let next = secret(&stand, "next.crt").unwrap();
    assert_eq!(secret(&stand, "tls.crt").unwrap(), old, "too early");
    session.again().await.unwrap();
    assert!(works(&stand).await);

    until("the next CA issues", || {
        secret(&stand, "tls.crt").as_ref() == Some(&next)
    })
    .await;
    assert_eq!(secret(&stand, "next.key"), None);
    let new_key = secret(&stand, "tls.key").unwrap();
    assert_ne!(new_key, old_key);
    assert_eq!(trusted(&stand), 2, "the old CA's certificates still serve");
    session.again().await.unwrap();
    assert!(works(&stand).await);

    until("the old CA is gone", || trusted(&stand) == 1).await;
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
