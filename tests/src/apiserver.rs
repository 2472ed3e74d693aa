//! A stand-in for the Kubernetes API server: pods of a [`Cluster`] over HTTPS, in the words of
//! kube-apiserver 1.36, and a few ways to break.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use rustls::ServerConfig;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::kubelet::listener::{Leg, Listener, Peer, Service};
use crate::pki::{Clients, Pki};

/// How the API server treats its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiFault {
    /// Serves.
    #[default]
    None,
    /// The socket is closed: dialling is refused, and open connections are dropped.
    Refused,
    /// Accepts and never answers.
    Silent,
    /// Answers everything with a 500 Status.
    InternalError,
}

/// The API server; stops on drop.
pub struct ApiServer {
    listener: Listener,
    address: Ipv4Addr,
    front: Arc<Front>,
    ca_pem: String,
    token: String,
}

struct Front {
    cluster: Cluster,
    clients: Clients,
    tls: Arc<ServerConfig>,
    tokens: Mutex<Vec<String>>,
    pod_requests: AtomicUsize,
    fault: Mutex<ApiFault>,
}

impl ApiServer {
    /// Listens on a free port of 127.0.0.1, with a certificate of `pki` for that address,
    /// `localhost` and `kubernetes.default.svc`. Client certificates of `pki` and the token
    /// [`token`](Self::token) may read everything.
    ///
    /// # Errors
    /// When no port or certificate is to be had.
    pub async fn start(cluster: Cluster, pki: &Pki) -> Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST, cluster, pki).await
    }

    /// The same on a free port of another address.
    ///
    /// # Errors
    /// As of [`start`](Self::start).
    pub async fn start_at(address: Ipv4Addr, cluster: Cluster, pki: &Pki) -> Result<Self> {
        let ip = address.to_string();
        let issued = pki.issue(&[&ip, "localhost", "kubernetes.default.svc"])?;
        let token = "stand-token".to_owned();
        let front = Arc::new(Front {
            cluster,
            clients: pki.clients()?,
            tls: Arc::new(pki.server_config(&issued)?),
            tokens: Mutex::new(vec![token.clone()]),
            pod_requests: AtomicUsize::new(0),
            fault: Mutex::default(),
        });
        let listener = Listener::start(front.clone(), address).await?;
        Ok(Self {
            listener,
            address,
            front,
            ca_pem: pki.ca_pem(),
            token,
        })
    }

    /// `https://<address>:<port>`
    pub fn url(&self) -> String {
        format!("https://{}:{}", self.address, self.listener.port())
    }

    /// The bearer token of [`kubeconfig`](Self::kubeconfig).
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The bearer tokens taken from now on, instead of those before.
    pub fn set_tokens(&self, tokens: &[&str]) {
        let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        *self
            .front
            .tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    /// How many requests for a pod have come, whatever was answered.
    pub fn pod_requests(&self) -> usize {
        self.front.pod_requests.load(Ordering::SeqCst)
    }

    /// Breaks or mends the server; returns once it holds.
    ///
    /// # Errors
    /// When the port was lost to another process in between.
    pub async fn set_fault(&self, fault: ApiFault) -> Result<()> {
        *self
            .front
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = fault;
        match fault {
            ApiFault::None | ApiFault::InternalError => self.listener.set_leg(Leg::Up).await,
            ApiFault::Silent => self.listener.set_leg(Leg::TlsSilent).await,
            ApiFault::Refused => {
                self.listener.set_leg(Leg::Refused).await?;
                self.listener.cut().await
            }
        }
    }

    /// Writes a kubeconfig for this server: the authority inside, the token as the user.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig(&self, path: &Path) -> Result<()> {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "stand",
            "clusters": [{"name": "stand", "cluster": {
                "server": self.url(),
                "certificate-authority-data": STANDARD.encode(&self.ca_pem),
            }}],
            "users": [{"name": "stand", "user": {"token": self.token}}],
            "contexts": [{"name": "stand", "context": {"cluster": "stand", "user": "stand"}}],
        });
        // JSON is YAML, so this is what any reader of a kubeconfig takes.
        let text = serde_json::to_string_pretty(&config)?;
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }
}

impl Service for Front {
    fn tls(&self) -> Arc<ServerConfig> {
        self.tls.clone()
    }

    async fn answer(
        self: Arc<Self>,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let path: Vec<&str> = request.uri().path().split('/').skip(1).collect();
        let pod = match path.as_slice() {
            ["api", "v1", "namespaces", namespace, "pods", name] => Some((*namespace, *name)),
            _ => None,
        };
        if pod.is_some() {
            self.pod_requests.fetch_add(1, Ordering::SeqCst);
        }
        if *self.fault.lock().unwrap_or_else(PoisonError::into_inner) == ApiFault::InternalError {
            return failure(
                500,
                "InternalError",
                "Internal error occurred: stand",
                json!({}),
            );
        }
        match (path.as_slice(), pod) {
            (["readyz" | "livez" | "healthz"], _) => text("ok"),
            (["version"], _) => json(200, &version()),
            _ if !self.knows(&peer, &request) => {
                failure(401, "Unauthorized", "Unauthorized", Value::Null)
            }
            (_, Some((namespace, name))) if request.method() == Method::GET => {
                self.pod(namespace, name)
            }
            _ => {
                let message = "the server could not find the requested resource";
                failure(404, "NotFound", message, json!({}))
            }
        }
    }
}

impl Front {
    fn knows(&self, peer: &Peer, request: &Request<Incoming>) -> bool {
        if self.clients.user(&peer.certificates).is_some() {
            return true;
        }
        let token = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        token.is_some_and(|token| tokens.iter().any(|known| known == token))
    }

    fn pod(&self, namespace: &str, name: &str) -> Response<Full<Bytes>> {
        match self.cluster.get(namespace, name).map(serde_json::to_value) {
            Some(Ok(pod)) => json(200, &pod),
            Some(Err(error)) => failure(500, "InternalError", &error.to_string(), json!({})),
            None => {
                let message = format!("pods \"{name}\" not found");
                failure(
                    404,
                    "NotFound",
                    &message,
                    json!({"name": name, "kind": "pods"}),
                )
            }
        }
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.2", "gitTreeState": "clean",
        "goVersion": "go1.26.0", "compiler": "gc", "platform": "linux/amd64",
    })
}

/// A `v1.Status` of a failure; `details` null for none.
fn failure(code: u16, reason: &str, message: &str, details: Value) -> Response<Full<Bytes>> {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    if let (Some(status), false) = (status.as_object_mut(), details.is_null()) {
        status.insert("details".to_owned(), details);
    }
    json(code, &status)
}

fn json(code: u16, value: &Value) -> Response<Full<Bytes>> {
    let mut body = value.to_string();
    body.push('\n');
    response(code, "application/json", body)
}

fn text(body: &str) -> Response<Full<Bytes>> {
    response(200, "text/plain; charset=utf-8", body.to_owned())
}

fn response(code: u16, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        http::HeaderValue::from_static("no-cache, private"),
    );
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}
