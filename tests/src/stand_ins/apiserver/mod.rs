//! A stand-in for the Kubernetes API server, over HTTPS and in the words of kube-apiserver 1.36. It
//! serves the pods of a [`Cluster`] (get, list, watch), the objects that run them (get), Secrets and
//! ConfigMaps (get, replace), and reviews of tokens and of access. It can break in a few ways. It does
//! not have: other resources, other writes, protobuf and tables, discovery.

mod answer;
mod asked;
mod callers;
mod counts;
mod fault;
mod front;
mod gathering;
mod list;
mod lock;
mod objects;
mod options;
mod rbac;
mod reviews;
mod selector;
mod watch;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

pub use callers::{API_AUDIENCE, Token};
pub use fault::ApiFault;
pub use rbac::{Rbac, group, rule, service_account, user};

use crate::fixtures::kubeconfig;
use crate::fixtures::pki::Pki;
use crate::stand_ins::cluster::Cluster;
use crate::stand_ins::listener::{Leg, Listener};
use callers::Tokens;
use counts::Counts;
use front::Front;
use gathering::Gathering;
use lock::lock;

/// The API server; stops on drop.
pub struct ApiServer {
    listener: Listener,
    address: Ipv4Addr,
    front: Arc<Front>,
    ca_pem: String,
    token: String,
}

impl ApiServer {
    /// Listens on a free port of 127.0.0.1, with a certificate of `pki` for that address,
    /// `localhost` and `kubernetes.default.svc`. Client certificates of `pki` and the token
    /// [`token`](Self::token) may do everything, until [`enforce`](Self::enforce).
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
        let mut tokens = Tokens::default();
        tokens.set_masters(&[&token]);
        let front = Arc::new(Front {
            cluster,
            clients: pki.clients()?,
            tls: Arc::new(pki.server_config(&issued)?),
            counts: Counts::default(),
            tokens: Mutex::new(tokens),
            rbac: Mutex::default(),
            objects: Mutex::default(),
            behaviour: Mutex::default(),
        });
        let listener = Listener::start(front.clone(), SocketAddrV4::new(address, 0)).await?;
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

    /// Its port.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// The bearer token of [`kubeconfig`](Self::kubeconfig).
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The bearer tokens of `system:masters` taken from now on, instead of those before.
    pub fn set_tokens(&self, tokens: &[&str]) {
        lock(&self.front.tokens).set_masters(tokens);
    }

    /// From now on this bearer token is known, to token reviews and, if the server is in its
    /// audience, as a caller's.
    pub fn add_token(&self, bearer: &str, token: Token) {
        lock(&self.front.tokens).add(bearer, token);
    }

    /// From now on this bearer token is nobody's, as after its expiry.
    pub fn remove_token(&self, bearer: &str) {
        lock(&self.front.tokens).remove(bearer);
    }

    /// What access reviews and, if [enforced](Self::enforce), requests are decided by from now on.
    pub fn set_rbac(&self, rbac: Rbac) {
        *lock(&self.front.rbac) = Arc::new(rbac);
    }

    /// From now on nobody decides what this user may, as when a webhook authorizer fails for one: a
    /// review of theirs is answered by an error.
    pub fn trouble(&self, user: &str) {
        lock(&self.front.behaviour).troubled = Some(user.to_owned());
    }

    /// From now on reviews of tokens for this audience are not answered, as when a webhook
    /// authenticator for them hangs. Other reviews are.
    pub fn hold_reviews(&self, audience: Option<&str>) {
        lock(&self.front.behaviour).unreviewed = audience.map(str::to_owned);
    }

    /// So many of the next access reviews are answered with 429, as when priority and fairness has no
    /// room for them.
    pub fn busy(&self, reviews: usize) {
        lock(&self.front.behaviour)
            .busy
            .store(reviews, Ordering::Relaxed);
    }

    /// Whether callers may do only what the RBAC objects say, but for `system:masters`. Watches
    /// that stand go on, as at a real server.
    pub fn enforce(&self, enforce: bool) {
        lock(&self.front.behaviour).enforce = enforce;
    }

    /// Whose a bearer token is, and whether RBAC lets them use a verb on a resource, such as
    /// `nodes/proxy`; None if nobody's.
    pub fn may(&self, bearer: &str, verb: &str, resource: &str) -> Option<(String, bool)> {
        let caller = lock(&self.front.tokens).caller(bearer)?;
        let asked = asked::Asked {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            ..asked::Asked::default()
        };
        let rbac = Arc::clone(&lock(&self.front.rbac));
        Some((caller.name.clone(), rbac.decide(&caller, &asked).allowed))
    }

    /// A Secret or ConfigMap (`secrets`, `configmaps`) without data.
    pub fn add_object(&self, resource: &str, namespace: &str, name: &str) {
        lock(&self.front.objects).add(objects::key(resource, namespace, name));
    }

    /// A Secret or ConfigMap as somebody applies it, such as Helm; what is there is replaced.
    pub fn put_object(&self, object: Value) {
        lock(&self.front.objects).apply(object);
    }

    /// What it is now.
    pub fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = objects::key(resource, namespace, name);
        lock(&self.front.objects).get(&key).cloned()
    }

    /// What it has been, the oldest first; their resource versions count the changes of all objects.
    pub fn object_history(&self, resource: &str, namespace: &str, name: &str) -> Vec<Value> {
        let key = objects::key(resource, namespace, name);
        lock(&self.front.objects).history(&key)
    }

    /// Changes it, as another client would.
    pub fn edit_object(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        edit: impl FnOnce(&mut Value),
    ) {
        let key = objects::key(resource, namespace, name);
        lock(&self.front.objects).edit(&key, edit);
    }

    /// From now on its data are files of a folder, as in a pod that mounts it.
    pub fn mount(&self, resource: &str, namespace: &str, name: &str, folder: &Path) {
        let key = objects::key(resource, namespace, name);
        lock(&self.front.objects).mount(key, folder);
    }

    /// How many requests for one pod have come, whatever was answered.
    pub fn pod_requests(&self) -> usize {
        self.requests("get", "pods")
    }

    /// How many requests of this verb (`get`, `list`, `watch`, `create`, `update`) for this resource have
    /// come, whatever was answered.
    pub fn requests(&self, verb: &str, resource: &str) -> usize {
        self.front.counts.requests(verb, resource)
    }

    /// Waits until so many such [`requests`](Self::requests) have come.
    ///
    /// # Errors
    /// When they have not within half a minute.
    pub async fn wait_requests(&self, verb: &str, resource: &str, n: usize) -> Result<()> {
        self.front.counts.wait_requests(verb, resource, n).await
    }

    /// Waits until exactly so many watches stand.
    ///
    /// # Errors
    /// When they have not within half a minute.
    pub async fn wait_watches(&self, n: usize) -> Result<()> {
        self.front.counts.wait_watches(n).await
    }

    /// Ends all watches that stand, cleanly, as at their timeout.
    pub fn end_watches(&self) {
        std::mem::take(&mut lock(&self.front.behaviour).watches).cancel();
    }

    /// Whether watches say nothing for now, as if their clients were behind. What they did not say
    /// comes afterwards, in order.
    pub fn hold_watches(&self, hold: bool) {
        lock(&self.front.behaviour).hold.send_replace(hold);
    }

    /// Answers requests of this verb for this resource once so many wait for it at the same time,
    /// and from then on at once.
    pub fn gather(&self, verb: &str, resource: &str, n: usize) {
        let gathering = Gathering::new(verb, resource, n);
        lock(&self.front.behaviour).gathering = Some(Arc::new(gathering));
    }

    /// Answers each request so much later from now on.
    pub fn set_delay(&self, delay: Duration) {
        lock(&self.front.behaviour).delay = delay;
    }

    /// Drops every connection, watches among them; returns when they are gone.
    ///
    /// # Errors
    /// When the server has stopped.
    pub async fn cut(&self) -> Result<()> {
        self.listener.cut().await
    }

    /// Breaks or mends the server; returns once it holds.
    ///
    /// # Errors
    /// When the port was lost to another process in between.
    pub async fn set_fault(&self, fault: ApiFault) -> Result<()> {
        lock(&self.front.behaviour).fault = fault;
        match fault {
            ApiFault::None | ApiFault::InternalError | ApiFault::TooManyRequests { .. } => {
                self.listener.set_leg(Leg::Up).await
            }
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
        self.kubeconfig_of(path, &self.token)
    }

    /// The same with another token.
    ///
    /// # Errors
    /// As of [`kubeconfig`](Self::kubeconfig).
    pub fn kubeconfig_of(&self, path: &Path, token: &str) -> Result<()> {
        kubeconfig::write(path, &self.url(), &self.ca_pem, token)
    }
}
