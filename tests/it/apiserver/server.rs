//! What the tests ask of a server, so that the stand-in and a kube-apiserver run the same ones.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use podgate_tests::fixtures::kubeconfig;
use podgate_tests::fixtures::pki::{Issued, Pki};
use podgate_tests::real::kube_apiserver::User;
use podgate_tests::stand_ins::apiserver::Rbac;
use podgate_tests::stand_ins::cluster::PodBuilder;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Users whom every server knows by their bearer tokens.
pub(super) const USERS: [User; 2] = [
    User {
        token: "t-alice",
        name: "alice",
        groups: &["dev"],
    },
    User {
        token: "t-door",
        name: "system:serviceaccount:podgate:frontdoor",
        groups: &["system:serviceaccounts", "system:serviceaccounts:podgate"],
    },
];

/// A server with pod `web` of namespace `default` on `node-a`.
pub(super) trait Server: Sized {
    async fn start() -> Self;

    fn pki(&self) -> &Pki;

    fn url(&self) -> String;

    /// The token of one who may do everything.
    fn token(&self) -> &str;

    /// Adds a pod. One of the same name is modified if it has the same UID, else it is deleted first.
    async fn add(&self, pod: PodBuilder);

    async fn remove(&self, namespace: &str, name: &str);

    /// Adds these objects. Returns once the server decides by them.
    async fn set_rbac(&self, rbac: Rbac);

    /// Whether callers may do only what the objects allow. A real server always enforces that, and lets
    /// all authenticated users ask what they may do.
    fn enforce(&self, enforce: bool);

    /// A token of ServiceAccount `default` in namespace `default`, bound to a pod `bb` on `node-a`.
    async fn bound_token(&self, audience: &str) -> String;

    async fn client(&self) -> Client {
        self.client_of(self.token()).await
    }

    async fn client_of(&self, token: &str) -> Client {
        let file = tempfile::NamedTempFile::new().unwrap();
        kubeconfig::write(file.path(), &self.url(), &self.pki().ca_pem(), token).unwrap();
        let file = Kubeconfig::read_from(file.path()).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options).await;
        Client::try_from(config.unwrap()).unwrap()
    }

    async fn pods(&self) -> Api<Pod> {
        Api::all(self.client().await)
    }

    /// The whole answer, with its head.
    async fn answer(
        &self,
        path: &str,
        token: &str,
        user: Option<&Issued>,
    ) -> std::io::Result<String> {
        let address = self.url().trim_start_matches("https://").to_owned();
        let tcp = TcpStream::connect(address).await?;
        let config = Arc::new(self.pki().client_config(user).unwrap());
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
        let chunked = head
            .to_ascii_lowercase()
            .contains("\r\ntransfer-encoding: chunked");
        let body = if chunked {
            joined(body)
        } else {
            body.to_owned()
        };
        Ok((head[9..12].parse().unwrap(), body))
    }

    async fn json(&self, path: &str, token: &str, user: Option<&Issued>) -> (u16, Value) {
        let (code, body) = self.get(path, token, user).await.unwrap();
        (code, serde_json::from_str(&body).unwrap())
    }
}

/// An object without the fields in which a real server notes who wrote it.
pub(super) fn without_managers(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.remove("managedFields");
    object
}

/// A body of chunks (RFC 9112 §7.1) without their lengths.
fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        body.push_str(&rest[..length]);
        chunks = rest[length..].trim_start_matches("\r\n");
        if length == 0 {
            break;
        }
    }
    body
}
