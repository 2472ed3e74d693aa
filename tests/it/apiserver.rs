//! The API server's stand-in answers as kube-apiserver does, to kube's client and byte by byte, and
//! breaks when told to. Where a real server can do the same, the tests run on both.

mod access;
mod both;
mod faults;
mod lists;
mod real;
mod server;
mod stand;
mod tokens;
mod watcher;
mod watches;

use serde_json::{Value, json};

use both::against_both;
use server::Server;
use stand::{Stand, WEB};

against_both!(pods_are_given_to_those_it_knows);

async fn pods_are_given_to_those_it_knows(server: impl Server) {
    let token = server.token().to_owned();
    let (code, pod) = server.json(WEB, &token, None).await;
    assert_eq!(
        (code, &pod["kind"], &pod["apiVersion"]),
        (200, &json!("Pod"), &json!("v1"))
    );
    assert_eq!(pod["spec"]["nodeName"], "node-a");

    let agent = server.pki().client("agent", &["system:masters"]).unwrap();
    assert_eq!(server.json(WEB, "", Some(&agent)).await.0, 200);
    let unknown = server.json(WEB, "other", None).await;
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "Unauthorized", "reason": "Unauthorized", "code": 401,
    });
    assert_eq!(unknown, (401, status));

    let missing = "/api/v1/namespaces/default/pods/nope";
    let missing = server.json(missing, &token, None).await;
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "pods \"nope\" not found", "reason": "NotFound",
        "details": {"name": "nope", "kind": "pods"}, "code": 404,
    });
    assert_eq!(missing, (404, status));

    let version = server.json("/version", "", None).await.1;
    let version = version["gitVersion"].as_str().unwrap();
    assert!(version.starts_with("v1."), "{version}");
    assert_eq!(
        server.get("/readyz", "", None).await.unwrap(),
        (200, "ok".to_owned())
    );
}

#[tokio::test]
async fn tokens_can_change_and_requests_are_counted() {
    let stand = Stand::new().await;
    let token = stand.api.token().to_owned();
    let agent = stand.pki.client("agent", &[]).unwrap();
    assert_eq!(stand.json(WEB, "", Some(&agent)).await.0, 200);
    assert_eq!(stand.json(WEB, "other", None).await.0, 401);
    stand.api.set_tokens(&["other"]);
    assert_eq!(stand.json(WEB, "other", None).await.0, 200);
    assert_eq!(stand.json(WEB, &token, None).await.0, 401);
    assert_eq!(stand.api.pod_requests(), 4);
    let version = stand.json("/version", "", None).await.1;
    assert_eq!(version["gitVersion"], "v1.36.2");
}

#[tokio::test]
async fn the_kubeconfig_names_server_authority_and_token() {
    let stand = Stand::new().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    stand.api.kubeconfig(file.path()).unwrap();
    let config: Value = serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
    assert_eq!(config["clusters"][0]["cluster"]["server"], stand.api.url());
    assert_eq!(config["users"][0]["user"]["token"], stand.api.token());
}
