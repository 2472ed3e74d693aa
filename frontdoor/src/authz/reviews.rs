//! What Kubernetes says of who may do what (SubjectAccessReview), and for how long that is believed.
//! One review a question is under way at a time, however many wait for its answer.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use lru::LruCache;
use tokio::time::timeout;

use crate::config::Authorization;
use crate::identity::Identity;

/// For the API server's answer. Whoever has been let in before need not wait longer for a server
/// that is away.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// An API server that did not answer is not asked the same again so soon.
const AWAY: Duration = Duration::from_secs(1);
/// Questions whose answers are kept, at the most; the one longest unused goes first.
const QUESTIONS: NonZeroUsize = NonZeroUsize::new(100_000).expect("it is not 0");

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("the API server could not be asked who may: {0}")]
    Ask(Arc<kube::Error>),
    #[error("the API server did not answer within {ANSWER_TIMEOUT:?}")]
    Timeout,
    #[error("the API server did not answer a moment ago")]
    Away,
}

/// What is asked, as RBAC knows it: all that the answer depends on.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) user: String,
    pub(super) groups: Vec<String>,
    pub(super) extra: BTreeMap<String, Vec<String>>,
    /// Of resource pods; the verb is create.
    pub(super) subresource: &'static str,
    pub(super) namespace: String,
    pub(super) pod: String,
}

impl Question {
    pub(super) fn new(
        identity: &Identity,
        subresource: &'static str,
        namespace: &str,
        pod: &str,
    ) -> Self {
        let mut groups = identity.groups.clone();
        // Whoever has logged in is that, as the API server's own authenticators say.
        groups.push("system:authenticated".to_owned());
        Self {
            user: identity.user.clone(),
            groups,
            extra: identity.extra.clone(),
            subresource,
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
        }
    }

    fn review(&self) -> SubjectAccessReview {
        SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(self.user.clone()),
                groups: Some(self.groups.clone()),
                extra: (!self.extra.is_empty()).then(|| self.extra.clone()),
                resource_attributes: Some(ResourceAttributes {
                    verb: Some("create".to_owned()),
                    resource: Some("pods".to_owned()),
                    subresource: Some(self.subresource.to_owned()),
                    namespace: Some(self.namespace.clone()),
                    name: Some(self.pod.clone()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        }
    }
}

/// The answers, of all cores.
#[derive(Debug)]
pub(crate) struct Reviews {
    config: Authorization,
    known: Mutex<LruCache<Question, Arc<tokio::sync::Mutex<Known>>>>,
}

/// What is known of one question.
#[derive(Debug, Default)]
struct Known {
    answer: Option<(Instant, bool)>,
    failed: Option<Instant>,
}

impl Reviews {
    pub(crate) fn new(config: Authorization) -> Self {
        Self {
            config,
            known: Mutex::new(LruCache::new(QUESTIONS)),
        }
    }

    /// Whether they may, by an answer that is as young as configured. While the API server is away
    /// one that allowed counts for longer.
    pub(super) async fn may(
        &self,
        client: &kube::Client,
        question: &Question,
    ) -> Result<bool, Error> {
        let age = |allowed| match allowed {
            true => self.config.allowed,
            false => self.config.denied,
        };
        match self.ask(client, question, age).await {
            (Err(error), Some((at, true))) if at.elapsed() < self.config.outage => {
                tracing::warn!(%error, "an earlier answer counts");
                Ok(true)
            }
            (answer, _) => answer,
        }
    }

    /// The same again, by an answer that is younger than this.
    pub(super) async fn still(
        &self,
        client: &kube::Client,
        question: &Question,
        age: Duration,
    ) -> Result<bool, Error> {
        self.ask(client, question, |_| age).await.0
    }

    /// The answer, and what was answered before.
    async fn ask(
        &self,
        client: &kube::Client,
        question: &Question,
        age: impl Fn(bool) -> Duration,
    ) -> (Result<bool, Error>, Option<(Instant, bool)>) {
        let known = {
            let mut table = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(table.get_or_insert(question.clone(), Arc::default))
        };
        let mut known = known.lock().await;
        let before = known.answer;
        if let Some((at, allowed)) = before
            && at.elapsed() < age(allowed)
        {
            return (Ok(allowed), before);
        }
        if known.failed.is_some_and(|at| at.elapsed() < AWAY) {
            return (Err(Error::Away), before);
        }
        let answer = review(client, question).await;
        match &answer {
            Ok(allowed) => {
                known.answer = Some((Instant::now(), *allowed));
                known.failed = None;
            }
            Err(_) => known.failed = Some(Instant::now()),
        }
        (answer, before)
    }
}

async fn review(client: &kube::Client, question: &Question) -> Result<bool, Error> {
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let (post, review) = (PostParams::default(), question.review());
    let answer = timeout(ANSWER_TIMEOUT, reviews.create(&post, &review))
        .await
        .map_err(|_| Error::Timeout)?
        .map_err(|error| Error::Ask(Arc::new(error)))?;
    let status = answer.status.unwrap_or_default();
    // A webhook's denial stands against another authorizer's word (SubjectAccessReviewStatus).
    Ok(status.allowed && !status.denied.unwrap_or_default())
}
