//! The API server's stand-in answers as a kube-apiserver does, to kube's client and in bytes, and
//! breaks when told to. What both can do is tested on both.

mod access;
mod faults;
mod lists;
mod real;
mod server;
mod tokens;
mod watcher;
mod watches;

use podgate_tests::fixtures::pki::Pki;
use podgate_tests::stand_ins::apiserver::{ApiServer, Rbac, Token};
use podgate_tests::stand_ins::cluster::{Cluster, PodBuilder, pod};
use serde_json::{Value, json};

use server::{Server, USERS, against_both};

const WEB: &str = "/api/v1/namespaces/default/pods/web";

struct Stand {
    pki: Pki,
    cluster: Cluster,
    api: ApiServer,
}

impl Stand {
    async fn new() -> Self {
        let (pki, cluster) = (Pki::new().unwrap(), Cluster::new());
        cluster.add(pod("default", "web", "uid-1", "node-a", "127.0.0.1").container("main", "c1"));
        let api = ApiServer::start(cluster.clone(), &pki).await.unwrap();
        Self { pki, cluster, api }
    }
}

impl Server for Stand {
    async fn start() -> Self {
        let stand = Self::new().await;
        for user in USERS {
            let token = user
                .groups
                .iter()
                .fold(Token::of(user.name), |token, group| token.group(group));
            stand.api.add_token(user.token, token);
        }
        stand
    }

    fn pki(&self) -> &Pki {
        &self.pki
    }

    fn url(&self) -> String {
        self.api.url()
    }

    fn token(&self) -> &str {
        self.api.token()
    }

    async fn add(&self, pod: PodBuilder) {
        self.cluster.add(pod);
    }

    async fn remove(&self, namespace: &str, name: &str) {
        self.cluster.remove(namespace, name);
    }

    async fn set_rbac(&self, rbac: Rbac) {
        self.api.set_rbac(rbac);
    }

    fn enforce(&self, enforce: bool) {
        self.api.enforce(enforce);
    }

    async fn bound_token(&self, audience: &str) -> String {
        let extra = |name: &str| format!("authentication.kubernetes.io/{name}");
        let token = Token::service_account("default", "default")
            .uid("74687ca1-3b06-4f5e-b7b1-5cc881a92337")
            .extra(&extra("node-name"), &["node-a"])
            .extra(&extra("pod-name"), &["bb"])
            .audience(audience);
        self.api.add_token("bound", token);
        "bound".to_owned()
    }
}

/// A pod of a node, with nothing in it.
fn small(namespace: &str, name: &str, node: &str) -> PodBuilder {
    pod(namespace, name, &format!("uid-{name}"), node, "127.0.0.1")
}

/// What the API says of itself that failed.
fn status(error: kube::Error) -> kube::core::Status {
    match error {
        kube::Error::Api(status) => *status,
        other => panic!("{other}"),
    }
}

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
