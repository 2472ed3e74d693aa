//! Asks Kubernetes who may do what (SubjectAccessReview), and keeps the answers for a while. Callers
//! with the same question share one review.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReviewSpec};
use podgate_identity::Identity;
use podgate_identity::kubernetes::{Unanswered, access};
use podgate_process::cache::{Ages, Cache, Outage};
use sha2::{Digest as _, Sha256};

use super::right::Right;
use crate::config::Authorization;
use crate::lookups::{Lookups, TooMany};

/// For this long after the API server did not answer, users whom it had allowed are let in without
/// asking it. They need not wait, and do not all ask at once when it comes back.
const AWAY: Duration = Duration::from_secs(5);
/// Questions whose answers are kept. The least recently used one is dropped first.
const QUESTIONS: NonZeroUsize = NonZeroUsize::new(100_000).expect("it is not 0");

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Error {
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// The API server was not asked.
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

impl Error {
    /// Whether the API server was too busy to answer.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Unanswered(unanswered) if unanswered.is_busy())
    }
}

impl Outage for Error {
    /// Whether another question would most likely fail, too.
    fn is_away(&self) -> bool {
        match self {
            Self::Unanswered(unanswered) => unanswered.is_away(),
            Self::TooMany(_) => false,
        }
    }
}

/// A question in RBAC's terms: everything that the answer depends on.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) user: String,
    pub(super) groups: Vec<String>,
    pub(super) extra: BTreeMap<String, Vec<String>>,
    pub(super) right: Right,
    pub(super) namespace: String,
    pub(super) pod: String,
}

impl Question {
    pub(super) fn new(identity: &Identity, right: Right, namespace: &str, pod: &str) -> Self {
        Self {
            user: identity.user.clone(),
            groups: access::groups(identity),
            extra: identity.extra.clone(),
            right,
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
        }
    }

    /// Each text is hashed after its length and each list after its count, so that different questions
    /// have different digests.
    fn digest(&self) -> Digest {
        let mut digest = Sha256::new();
        let mut put = |text: &str| {
            digest.update(text.len().to_be_bytes());
            digest.update(text);
        };
        for text in [&self.user, &self.namespace, &self.pod] {
            put(text);
        }
        let (group, resource, subresource) = self.right.resource();
        for text in [group, resource, subresource, self.right.verb()] {
            put(text);
        }
        put(&self.groups.len().to_string());
        self.groups.iter().for_each(|group| put(group));
        for (key, values) in &self.extra {
            put(key);
            put(&values.len().to_string());
            values.iter().for_each(|value| put(value));
        }
        digest.finalize().into()
    }

    fn review(&self) -> SubjectAccessReviewSpec {
        let (group, resource, subresource) = self.right.resource();
        SubjectAccessReviewSpec {
            user: Some(self.user.clone()),
            groups: Some(self.groups.clone()),
            extra: (!self.extra.is_empty()).then(|| self.extra.clone()),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(self.right.verb().to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: Some(subresource.to_owned()),
                namespace: Some(self.namespace.clone()),
                name: Some(self.pod.clone()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        }
    }
}

/// A question's SHA-256.
type Digest = [u8; 32];

/// The answers, for all cores.
#[derive(Debug)]
pub(crate) struct Reviews {
    config: Authorization,
    lookups: Arc<Lookups>,
    /// Keyed by digests: a question may hold many groups, and anybody may ask many questions.
    answers: Cache<Digest, bool, Error>,
}

impl Reviews {
    pub(crate) fn new(config: Authorization, lookups: Arc<Lookups>) -> Self {
        Self {
            config,
            lookups,
            answers: Cache::new(QUESTIONS).away(AWAY),
        }
    }

    /// Whether they may, by an answer no older than configured. While the API server is away, an answer
    /// that allowed counts for longer.
    pub(super) async fn may(
        &self,
        client: &kube::Client,
        question: &Question,
    ) -> Result<bool, Error> {
        let config = &self.config;
        let digest = question.digest();
        let recent = |age, allowed| self.answers.recent(&digest, age) == Some(allowed);
        if !recent(config.allowed, true) && !recent(config.denied, false) {
            self.lookups.take(&question.user)?;
        }
        let ages = |&allowed: &bool| match allowed {
            true => Ages {
                good: config.allowed,
                outage: config.outage,
            },
            false => Ages {
                good: config.denied,
                outage: Duration::ZERO,
            },
        };
        let ask = review(client, question);
        self.answers.get(digest, ages, ask).await
    }

    /// Whether they still may, by an answer no older than `age`. This counts against nobody's rate.
    pub(super) async fn still(
        &self,
        client: &kube::Client,
        question: &Question,
        age: Duration,
    ) -> Result<bool, Error> {
        let ages = |_: &bool| Ages {
            good: age,
            outage: Duration::ZERO,
        };
        let ask = review(client, question);
        self.answers.get(question.digest(), ages, ask).await
    }
}

async fn review(client: &kube::Client, question: &Question) -> Result<bool, Error> {
    Ok(access::may(client, question.review()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use podgate_identity::Source;

    #[test]
    fn no_two_questions_share_an_answer() {
        let ask = |right, user: &str, groups: &[&str], extra: &[(&str, &[&str])], pod: &str| {
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
            Question::new(&identity, right, "prod", pod).digest()
        };
        let question = |user: &str, groups: &[&str], extra: &[(&str, &[&str])], pod: &str| {
            ask(Right::Exec, user, groups, extra, pod)
        };
        let mut digests = vec![
            ask(Right::PortForward, "ada", &["dev"], &[], "web"),
            ask(Right::ReadFiles, "ada", &["dev"], &[], "web"),
            ask(Right::WriteFiles, "ada", &["dev"], &[], "web"),
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
        assert_eq!(digests[3], question("ada", &["dev"], &[], "web"));
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), questions);
    }
}
