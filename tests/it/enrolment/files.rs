//! The CA's key is in files that somebody else keeps, such as cert-manager.

use podgate_tests::fixtures::stand::enrolled::{CA, Config, Keys, NAMESPACE, write_ca};

use super::{SOON, count, echo, eventually, stand, works};

fn bare(pem: &str) -> String {
    pem.split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_in_files_serves_and_is_followed() {
    let config = Config {
        lifetime: 6,
        spread: 2,
        keys: Keys::Files,
        ..Config::default()
    };
    let stand = stand(config).await;
    let signer = stand.signer.as_ref().unwrap();
    let mut session = echo(&stand).await;
    assert!(works(&stand).await);
    let secret = stand.api.object("secrets", NAMESPACE, CA).unwrap();
    assert_eq!(secret.get("data"), None, "the signer keeps no key");

    // The previous CA issues until all parts have heard of the new one, and is trusted for a while
    // after that.
    let old = std::fs::read_to_string(stand.dir().join("ca/tls.crt")).unwrap();
    let new = write_ca(stand.dir()).unwrap();
    let bundles = || stand.api.object_history("configmaps", NAMESPACE, CA);
    let trusts = |pem: &str| {
        let pem = bare(pem);
        let at = |bundle: &serde_json::Value| {
            let text = bundle["data"]["ca.crt"].as_str().unwrap_or_default();
            bare(text).contains(&pem)
        };
        bundles().iter().map(at).collect::<Vec<_>>()
    };
    let alone = || async { (trusts(&old).last() == Some(&false)).then_some(()) };
    eventually("the new CA alone", SOON, alone).await.unwrap();
    let both: Vec<_> = trusts(&old).into_iter().zip(trusts(&new)).collect();
    assert!(both.contains(&(true, true)), "{both:?}");
    assert_eq!(both.last(), Some(&(false, true)));
    session.again().await.unwrap();
    assert!(works(&stand).await);
    let trusted = count(signer, "podgate_signer_trusted").await;
    assert_eq!(trusted, 1);
}
