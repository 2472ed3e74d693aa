//! The stand-in, as the tests ask for a server, and what several of them need.

use podgate_tests::fixtures::pki::Pki;
use podgate_tests::stand_ins::apiserver::{ApiServer, Rbac, Token};
use podgate_tests::stand_ins::cluster::{Cluster, PodBuilder, pod};

use super::server::{Server, USERS};

pub(super) const WEB: &str = "/api/v1/namespaces/default/pods/web";

/// The stand-in.
pub(super) struct Stand {
    pub(super) pki: Pki,
    pub(super) cluster: Cluster,
    pub(super) api: ApiServer,
}

impl Stand {
    pub(super) async fn new() -> Self {
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
pub(super) fn small(namespace: &str, name: &str, node: &str) -> PodBuilder {
    pod(namespace, name, &format!("uid-{name}"), node, "127.0.0.1")
}

/// What the API says of itself that failed.
pub(super) fn status(error: kube::Error) -> kube::core::Status {
    match error {
        kube::Error::Api(status) => *status,
        other => panic!("{other}"),
    }
}
