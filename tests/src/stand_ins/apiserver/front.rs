//! From a request to its answer, in kube-apiserver's order: who calls, whether they may, and then the
//! answer to the request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request, header};
use hyper::body::Incoming;
use k8s_openapi::api::authentication::v1::TokenReview;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use rustls::ServerConfig;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Answer, Body, Failure};
use super::asked::{Asked, Query};
use super::callers::{Caller, Tokens};
use super::counts::Counts;
use super::fault::ApiFault;
use super::gathering::Gathering;
use super::list::list;
use super::lock::lock;
use super::objects::{self, Objects};
use super::options::Options;
use super::rbac::Rbac;
use super::reviews;
use super::watch::{Control, watch as stream};
use crate::fixtures::pki::Clients;
use crate::stand_ins::cluster::Cluster;
use crate::stand_ins::cluster::object::key;
use crate::stand_ins::cluster::others::SERVED;
use crate::stand_ins::listener::{Peer, Service};

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

pub(super) struct Front {
    pub(super) cluster: Cluster,
    pub(super) clients: Clients,
    pub(super) tls: Arc<ServerConfig>,
    pub(super) counts: Counts,
    pub(super) tokens: Mutex<Tokens>,
    pub(super) rbac: Mutex<Arc<Rbac>>,
    pub(super) objects: Mutex<Objects>,
    pub(super) behaviour: Mutex<Behaviour>,
}

/// What tests can change about it.
#[derive(Clone, Default)]
pub(super) struct Behaviour {
    pub(super) fault: ApiFault,
    pub(super) delay: Duration,
    pub(super) gathering: Option<Arc<Gathering>>,
    pub(super) enforce: bool,
    /// The user about whose access no authorizer decides.
    pub(super) troubled: Option<String>,
    /// How many of the next access reviews are answered with 429.
    pub(super) busy: Arc<AtomicUsize>,
    /// Tokens for this audience are never decided on.
    pub(super) unreviewed: Option<String>,
    /// Ends the watches that stand.
    pub(super) watches: CancellationToken,
    /// Whether watches say nothing for now.
    pub(super) hold: watch::Sender<bool>,
}

impl Service for Front {
    type Body = Body;

    fn tls(&self) -> Arc<ServerConfig> {
        self.tls.clone()
    }

    async fn answer(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> Answer {
        let query = Query::of(request.uri());
        let asked = Asked::of(request.method(), request.uri(), &query);
        if let Some(asked) = &asked {
            self.counts.count(asked);
        }
        let behaviour = lock(&self.behaviour).clone();
        if let (Some(gathering), Some(asked)) = (&behaviour.gathering, &asked) {
            gathering.wait(asked).await;
        }
        if !behaviour.delay.is_zero() {
            tokio::time::sleep(behaviour.delay).await;
        }
        match behaviour.fault {
            ApiFault::InternalError => return Failure::internal("stand").answer(),
            ApiFault::TooManyRequests { retry_after } => {
                return answer::too_many_requests(retry_after);
            }
            ApiFault::None | ApiFault::Refused | ApiFault::Silent => {}
        }
        let is_review = |asked: &Asked| asked.resource == "subjectaccessreviews";
        if asked.as_ref().is_some_and(is_review) && take(&behaviour.busy) {
            return answer::too_many_requests(1);
        }
        match request.uri().path() {
            "/readyz" | "/livez" | "/healthz" => return answer::text(200, "ok"),
            "/version" => return answer::object(200, &version()),
            _ => {}
        }
        let served = self.serve(&peer, asked, &query, behaviour, request).await;
        served.unwrap_or_else(|failure| failure.answer())
    }
}

impl Front {
    async fn serve(
        &self,
        peer: &Peer,
        asked: Option<Asked>,
        query: &Query,
        behaviour: Behaviour,
        request: Request<Incoming>,
    ) -> Result<Answer, Failure> {
        let caller = self
            .caller(peer, &request)
            .ok_or_else(Failure::unauthorized)?;
        let rbac = lock(&self.rbac).clone();
        let mut asked = asked.ok_or_else(Failure::not_found)?;
        let options = match asked.verb.as_str() {
            "list" | "watch" => Some(Options::of(&asked.namespace, query)?),
            _ => None,
        };
        if let Some(name) = options.as_ref().and_then(|options| options.selector.name()) {
            name.clone_into(&mut asked.name);
        }
        if behaviour.enforce {
            let decision = rbac.decide(&caller, &asked);
            if !decision.allowed {
                return Err(forbidden(&caller, &asked, &decision.reason));
            }
        }
        if objects::serves(&asked) {
            return objects::answer(&self.objects, &asked, request).await;
        }
        let (verb, resource) = (asked.verb.as_str(), asked.resource.as_str());
        match (verb, asked.group.as_str(), resource, options) {
            ("get", "", "pods", _) if *request.method() == Method::GET => {
                let pod = self
                    .cluster
                    .store()
                    .get(&key(&asked.namespace, &asked.name));
                let pod = pod.ok_or_else(|| Failure::absent("", "pods", &asked.name))?;
                Ok(answer::json(answer::line(pod.json())))
            }
            ("get", group, resource, _)
                if *request.method() == Method::GET && SERVED.contains(&(group, resource)) =>
            {
                let key = [group, resource, &asked.namespace, &asked.name];
                let object = self.cluster.other(key);
                let object = object.ok_or_else(|| Failure::absent(group, resource, key[3]))?;
                Ok(answer::object(200, &object))
            }
            ("list", "", "pods", Some(options)) => list(&self.cluster, &options),
            ("watch", "", "pods", Some(options)) => {
                let control = Control {
                    end: behaviour.watches,
                    hold: behaviour.hold.subscribe(),
                    _open: self.counts.stand(),
                };
                Ok(stream(&self.cluster, options, control))
            }
            ("create", AUTHENTICATION, "tokenreviews", _) => {
                let review: TokenReview = reviews::posted(request).await?;
                let held = lock(&self.behaviour).unreviewed.clone();
                let audiences = review.spec.audiences.as_deref().unwrap_or_default();
                if held.is_some_and(|held| audiences.contains(&held)) {
                    return std::future::pending().await;
                }
                reviews::token(review, &lock(&self.tokens))
            }
            ("create", AUTHORIZATION, "subjectaccessreviews", _) => {
                let review: SubjectAccessReview = reviews::posted(request).await?;
                let troubled = lock(&self.behaviour).troubled.clone();
                if troubled.is_some() && review.spec.user == troubled {
                    return Err(Failure::internal("a webhook authorizer does not answer"));
                }
                reviews::subject(review, &rbac)
            }
            ("create", AUTHORIZATION, "selfsubjectaccessreviews", _) => {
                reviews::own(reviews::posted(request).await?, &rbac, &caller)
            }
            (_, "", "pods", _)
            | (_, AUTHENTICATION, "tokenreviews", _)
            | (_, AUTHORIZATION, "subjectaccessreviews" | "selfsubjectaccessreviews", _) => {
                Err(Failure::not_allowed())
            }
            _ => Err(Failure::not_found()),
        }
    }

    fn caller(&self, peer: &Peer, request: &Request<Incoming>) -> Option<Caller> {
        if let Some(user) = self.clients.user(&peer.certificates) {
            return Some(Caller::named(user));
        }
        let value = request.headers().get(header::AUTHORIZATION)?;
        let token = value.to_str().ok()?.strip_prefix("Bearer ")?;
        lock(&self.tokens).caller(token)
    }
}

/// Counts one down; false at 0.
fn take(left: &AtomicUsize) -> bool {
    let less = |left: usize| left.checked_sub(1);
    left.try_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .is_ok()
}

/// As apiserver's `pkg/endpoints/handlers/responsewriters` words it.
fn forbidden(caller: &Caller, asked: &Asked, reason: &str) -> Failure {
    let Asked {
        verb,
        group,
        namespace,
        resource,
        name,
    } = asked;
    let kind = resource.split('/').next().unwrap_or_default();
    let of_group = match group.as_str() {
        "" => kind.to_owned(),
        group => format!("{kind}.{group}"),
    };
    let what = match name.as_str() {
        "" => of_group,
        name => format!("{of_group} \"{name}\""),
    };
    let place = match namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    let because = match reason {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    let user = &caller.name;
    let message = format!(
        "{what} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" \
         in API group \"{group}\" {place}{because}"
    );
    let mut details = serde_json::Map::new();
    for (field, value) in [("name", name.as_str()), ("group", group), ("kind", kind)] {
        if !value.is_empty() {
            details.insert(field.to_owned(), value.into());
        }
    }
    Failure::new(403, "Forbidden", message).with(details.into())
}

fn version() -> serde_json::Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.2", "gitTreeState": "clean",
        "goVersion": "go1.26.0", "compiler": "gc", "platform": "linux/amd64",
    })
}
