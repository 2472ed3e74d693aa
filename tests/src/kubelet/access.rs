//! Who may ask the kubelet what: authentication and authorization as the kubelet words them,
//! changeable at run time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, Method, StatusCode, header};
use rustls::pki_types::CertificateDer;

use crate::pki::Clients;

/// The kubelet's access rules. Known are the clients whose certificate the stand's authority
/// issued (the common name is the user) and the bearers of a token added here; every known user
/// may do everything unless forbidden.
pub struct Access {
    clients: Clients,
    rules: Mutex<Rules>,
}

#[derive(Default)]
struct Rules {
    users_by_token: BTreeMap<String, String>,
    forbidden: BTreeSet<String>,
}

impl Access {
    pub(super) fn new(clients: Clients) -> Self {
        Self {
            clients,
            rules: Mutex::default(),
        }
    }

    /// From now on this bearer token is `user`'s.
    pub fn add_token(&self, token: &str, user: &str) {
        self.rules()
            .users_by_token
            .insert(token.to_owned(), user.to_owned());
    }

    /// From now on this bearer token is nobody's, as after its expiry.
    pub fn remove_token(&self, token: &str) {
        self.rules().users_by_token.remove(token);
    }

    /// From now on this user is answered 403.
    pub fn forbid(&self, user: &str) {
        self.rules().forbidden.insert(user.to_owned());
    }

    /// Takes [`forbid`](Self::forbid) back.
    pub fn permit(&self, user: &str) {
        self.rules().forbidden.remove(user);
    }

    /// The answer to give instead, if the request is not to be served.
    pub(super) fn refusal(
        &self,
        chain: &[CertificateDer<'_>],
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<(StatusCode, String)> {
        let rules = self.rules();
        let by_token = || {
            let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
            rules
                .users_by_token
                .get(value.strip_prefix("Bearer ")?)
                .cloned()
        };
        let Some(user) = self.clients.user(chain).or_else(by_token) else {
            return Some((StatusCode::UNAUTHORIZED, "Unauthorized".to_owned()));
        };
        rules.forbidden.contains(&user).then(|| {
            let (verb, resources) = (verb(method), subresources(path));
            let text = format!(
                "Forbidden (user={user}, verb={verb}, resource=nodes, subresource(s)=[{resources}])\n"
            );
            (StatusCode::FORBIDDEN, text)
        })
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    }
}

fn subresources(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("pods") => "pods proxy",
        Some("healthz") => "healthz proxy",
        Some("metrics") => "metrics",
        _ => "proxy",
    }
}
