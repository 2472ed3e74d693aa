//! The API server stand-in answers as a kube-apiserver does, to kube's client and in bytes, and
//! breaks when told to.

mod access;
mod faults;
mod lists;
mod tokens;
mod watcher;
mod watches;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use podgate_tests::fixtures::pki::{Issued, Pki};
use podgate_tests::stand_ins::apiserver::ApiServer;
use podgate_tests::stand_ins::cluster::{Cluster, PodBuilder, pod};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

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

    /// A client of the stand's own token.
    async fn client(&self) -> Client {
        self.client_of(self.api.token()).await
    }

    async fn client_of(&self, token: &str) -> Client {
        let file = tempfile::NamedTempFile::new().unwrap();
        self.api.kubeconfig_of(file.path(), token).unwrap();
        let file = Kubeconfig::read_from(file.path()).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options).await;
        Client::try_from(config.unwrap()).unwrap()
    }

    async fn pods(&self) -> Api<Pod> {
        Api::all(self.client().await)
    }

    /// The answer, head and all.
    async fn answer(
        &self,
        path: &str,
        token: &str,
        user: Option<&Issued>,
    ) -> std::io::Result<String> {
        let address = self.api.url().trim_start_matches("https://").to_owned();
        let tcp = TcpStream::connect(address).await?;
        let config = Arc::new(self.pki.client_config(user).unwrap());
        let name = "127.0.0.1".try_into().unwrap();
        let mut tls = TlsConnector::from(config).connect(name, tcp).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        tls.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        tls.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// Status code and body.
    async fn get(
        &self,
        path: &str,
        token: &str,
        user: Option<&Issued>,
    ) -> std::io::Result<(u16, String)> {
        let answer = self.answer(path, token, user).await?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Ok((head[9..12].parse().unwrap(), body.to_owned()))
    }

    async fn json(&self, path: &str, token: &str, user: Option<&Issued>) -> (u16, Value) {
        let (code, body) = self.get(path, token, user).await.unwrap();
        (code, serde_json::from_str(&body).unwrap())
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

#[tokio::test]
async fn pods_are_given_to_those_it_knows() {
    let stand = Stand::new().await;
    let token = stand.api.token().to_owned();
    let (code, pod) = stand.json(WEB, &token, None).await;
    assert_eq!(
        (code, &pod["kind"], &pod["apiVersion"]),
        (200, &json!("Pod"), &json!("v1"))
    );
    assert_eq!(pod["spec"]["nodeName"], "node-a");

    let agent = stand.pki.client("agent", &[]).unwrap();
    assert_eq!(stand.json(WEB, "", Some(&agent)).await.0, 200);
    let unknown = stand.json(WEB, "other", None).await;
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "Unauthorized", "reason": "Unauthorized", "code": 401,
    });
    assert_eq!(unknown, (401, status));
    stand.api.set_tokens(&["other"]);
    assert_eq!(stand.json(WEB, "other", None).await.0, 200);
    assert_eq!(stand.json(WEB, &token, None).await.0, 401);

    let missing = stand
        .json("/api/v1/namespaces/default/pods/nope", "other", None)
        .await;
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "pods \"nope\" not found", "reason": "NotFound",
        "details": {"name": "nope", "kind": "pods"}, "code": 404,
    });
    assert_eq!(missing, (404, status));
    assert_eq!(stand.api.pod_requests(), 6);

    assert_eq!(
        stand.json("/version", "", None).await.1["gitVersion"],
        "v1.36.2"
    );
    assert_eq!(
        stand.get("/readyz", "", None).await.unwrap(),
        (200, "ok".to_owned())
    );
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
