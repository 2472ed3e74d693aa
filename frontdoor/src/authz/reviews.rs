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
use podgate_identity::Identity;
use podgate_identity::kubernetes::{SHORT_TIMEOUT, Unanswered, within};
use sha2::{Digest as _, Sha256};

use crate::config::Authorization;

/// For so long after it has not answered, whoever was let in before is let in without asking it:
/// they need not wait for a server that is away, and one that comes back is not met by all.
const AWAY: Duration = Duration::from_secs(5);
/// Questions whose answers are kept, at the most; the one longest unused goes first.
const QUESTIONS: NonZeroUsize = NonZeroUsize::new(100_000).expect("it is not 0");

/// The group of all who have logged in.
const AUTHENTICATED: &str = "system:authenticated";

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error("the API server did not answer who asked the same before")]
    Away,
}

impl Error {
    /// Whether another question would most likely not be answered either.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Unanswered(unanswered) => unanswered.is_away(),
            Self::Away => true,
        }
    }
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
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self {
            user: identity.user.clone(),
            groups,
            extra: identity.extra.clone(),
            subresource,
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
        }
    }

    /// Each part stands after its length and each list after its number: no two questions are alike.
    fn digest(&self) -> Digest {
        let mut digest = Sha256::new();
        let mut put = |text: &str| {
            digest.update(text.len().to_be_bytes());
            digest.update(text);
        };
        for text in [&self.user, &self.namespace, &self.pod] {
            put(text);
        }
        put(self.subresource);
        put(&self.groups.len().to_string());
        self.groups.iter().for_each(|group| put(group));
        for (key, values) in &self.extra {
            put(key);
            put(&values.len().to_string());
            values.iter().for_each(|value| put(value));
        }
        digest.finalize().into()
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

/// A question's, by SHA-256.
type Digest = [u8; 32];

/// The answers, of all cores.
#[derive(Debug)]
pub(crate) struct Reviews {
    config: Authorization,
    /// By digests: a question may hold many groups, and anybody may ask many.
    known: Mutex<LruCache<Digest, Arc<tokio::sync::Mutex<Known>>>>,
    /// When the API server last did not answer anything, since it last did.
    away: Mutex<Option<Instant>>,
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
            away: Mutex::default(),
        }
    }

    /// Whether they may, by an answer that is as young as configured. While the API server is away
    /// one that allowed counts for longer.
    pub(super) async fn may(
        &self,
        client: &kube::Client,
        question: &Question,
    ) -> Result<bool, Error> {
        let asked = Instant::now();
        let known = self.known(question);
        let mut known = known.lock().await;
        let earlier = match known.answer {
            Some((at, allowed)) if at.elapsed() < self.believed(allowed) => return Ok(allowed),
            Some((at, true)) if at.elapsed() < self.config.outage => true,
            _ => false,
        };
        if earlier && self.is_away() {
            return Ok(true);
        }
        match self.ask(client, question, &mut known, asked).await {
            Err(error) if earlier && error.is_away() => {
                tracing::warn!(%error, "an earlier answer counts");
                Ok(true)
            }
            answer => answer,
        }
    }

    /// The same again, by an answer that is younger than this.
    pub(super) async fn still(
        &self,
        client: &kube::Client,
        question: &Question,
        age: Duration,
    ) -> Result<bool, Error> {
        let asked = Instant::now();
        let known = self.known(question);
        let mut known = known.lock().await;
        match known.answer {
            Some((at, allowed)) if at.elapsed() < age => Ok(allowed),
            _ => self.ask(client, question, &mut known, asked).await,
        }
    }

    fn known(&self, question: &Question) -> Arc<tokio::sync::Mutex<Known>> {
        let mut table = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(table.get_or_insert(question.digest(), Arc::default))
    }

    fn believed(&self, allowed: bool) -> Duration {
        match allowed {
            true => self.config.allowed,
            false => self.config.denied,
        }
    }

    fn is_away(&self) -> bool {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.is_some_and(|at| at.elapsed() < AWAY)
    }

    /// Asks for whoever wants to know since `asked`; not again if the question failed since.
    async fn ask(
        &self,
        client: &kube::Client,
        question: &Question,
        known: &mut Known,
        asked: Instant,
    ) -> Result<bool, Error> {
        if known.failed.is_some_and(|at| at >= asked) {
            return Err(Error::Away);
        }
        let answer = review(client, question).await;
        let now = Instant::now();
        match &answer {
            Ok(allowed) => known.answer = Some((now, *allowed)),
            Err(_) => known.failed = Some(now),
        }
        let away = answer.as_ref().is_err_and(Error::is_away);
        let away = away.then_some(now);
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = away;
        answer
    }
}

async fn review(client: &kube::Client, question: &Question) -> Result<bool, Error> {
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let (post, review) = (PostParams::default(), question.review());
    let answer = within(SHORT_TIMEOUT, reviews.create(&post, &review)).await?;
    let status = answer.status.unwrap_or_default();
    // A webhook's denial stands against another authorizer's word (SubjectAccessReviewStatus).
    Ok(status.allowed && !status.denied.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use podgate_identity::Source;

    #[test]
    fn no_two_questions_share_an_answer() {
        let question = |user: &str, groups: &[&str], extra: &[(&str, &[&str])], pod: &str| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let identity = Identity {
                user: user.to_owned(),
                groups: owned(groups),
                extra: extra
                    .iter()
                    .map(|(key, values)| ((*key).to_owned(), owned(values)))
                    .collect(),
                source: Source::Key,
            };
            Question::new(&identity, "exec", "prod", pod).digest()
        };
        let mut digests = vec![
            question("ada", &["dev"], &[], "web"),
            question("ada", &["de", "v"], &[], "web"),
            question("ada", &[], &[("dev", &[])], "web"),
            question("ada", &["dev"], &[("a", &["b"])], "web"),
            question("ada", &["dev"], &[("a", &[]), ("b", &[])], "web"),
            question("ada", &["dev"], &[("a", &["b", "c"])], "web"),
            question("ad", &["dev"], &[], "aweb"),
            question("ada", &["dev"], &[], ""),
        ];
        let questions = digests.len();
        assert_eq!(digests[0], question("ada", &["dev"], &[], "web"));
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), questions);
    }
}
