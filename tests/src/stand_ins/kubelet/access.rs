//! Who may ask the kubelet what: authentication and authorization as the kubelet words them,
//! changeable at run time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, Method, StatusCode, header};
use rustls::pki_types::CertificateDer;

use crate::fixtures::pki::Clients;

/// The kubelet's access rules. Known are the clients whose certificate the stand's authority
/// issued (the common name is the user) and the bearers of a token added here; every known user
/// may do everything unless forbidden.
pub struct Access {
    clients: Clients,
    rules: Mutex<Rules>,
    delegate: Mutex<Option<Delegate>>,
}

/// Whoever decides in the kubelet's stead (`--authorization-mode=Webhook`): given a bearer token, a verb
/// and a resource such as `nodes/proxy`, the user, and whether they may. None: nobody knows the token.
pub type Delegate = Arc<dyn Fn(&str, &str, &str) -> Option<(String, bool)> + Send + Sync>;

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
            delegate: Mutex::default(),
        }
    }

    /// From now on, this function decides about bearer tokens.
    pub fn delegate(&self, delegate: Delegate) {
        *self.delegate.lock().unwrap_or_else(PoisonError::into_inner) = Some(delegate);
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
        let (verb, resources) = (verb(method), subresources(path));
        let rules = self.rules();
        let bearer = headers.get(header::AUTHORIZATION);
        let bearer = bearer.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let by_token = |token: &str| match self.delegated() {
            None => {
                let user = rules.users_by_token.get(token)?;
                Some((user.clone(), true))
            }
            // Any of the resources is enough (KEP-2862).
            Some(delegate) => {
                let mut answers = Vec::new();
                for resource in resources.split(' ') {
                    answers.push(delegate(token, verb, &format!("nodes/{resource}"))?);
                }
                answers.into_iter().max_by_key(|(_, may)| *may)
            }
        };
        let by_certificate = self.clients.user(chain).map(|user| (user, true));
        let known = by_certificate.or_else(|| by_token(bearer?));
        let Some((user, may)) = known else {
            return Some((StatusCode::UNAUTHORIZED, "Unauthorized".to_owned()));
        };
        (!may || rules.forbidden.contains(&user)).then(|| {
            let text = format!(
                "Forbidden (user={user}, verb={verb}, resource=nodes, subresource(s)=[{resources}])\n"
            );
            (StatusCode::FORBIDDEN, text)
        })
    }

    fn delegated(&self) -> Option<Delegate> {
        let delegate = self.delegate.lock();
        delegate.unwrap_or_else(PoisonError::into_inner).clone()
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
