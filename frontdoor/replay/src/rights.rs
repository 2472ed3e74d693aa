//! What a visitor may see: `list` and `get` on `recordings` of podgate.io, in the namespace of the recorded
//! pod, as the API server answers for the visitor's identity.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReviewSpec};
use lru::LruCache;
use podgate_identity::Identity;
use podgate_identity::kubernetes::{Client, Unanswered, access};
use podgate_process::bucket::Bucket;
use podgate_process::cache::{Ages, Cache, Outage};

use crate::entry::Visitor;

/// How long answers serve.
const ALLOWED: Duration = Duration::from_secs(30);
const DENIED: Duration = Duration::from_secs(5);
/// Answers that are kept.
const ANSWERS: NonZeroUsize = NonZeroUsize::new(50_000).expect("it is not 0");
/// Users whose rate is kept.
const USERS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");
/// Namespaces that are asked about at once.
const AT_ONCE: usize = 16;
/// Stands for all namespaces.
const ALL: &str = "";

/// Why it is not known.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the Kubernetes API server does not say what you may see; try again in a moment")]
    Unanswered(#[from] Unanswered),
    #[error("you have reached the limit of look-ups per user; try again in a moment")]
    TooMany,
}

impl Outage for Error {
    fn is_away(&self) -> bool {
        matches!(self, Self::Unanswered(unanswered) if unanswered.is_away())
    }
}

/// A right to recordings.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Right {
    List,
    Get,
}

/// A visitor's pass, a right and a namespace.
type Question = (String, Right, String);

pub(crate) struct Rights {
    client: Client,
    answers: Cache<Question, bool, Error>,
    a_minute: u32,
    users: Mutex<LruCache<String, Bucket>>,
}

impl Rights {
    pub(crate) fn new(client: Client, a_minute: u32) -> Arc<Self> {
        Arc::new(Self {
            client,
            answers: Cache::new(ANSWERS),
            a_minute,
            users: Mutex::new(LruCache::new(USERS)),
        })
    }

    /// Those of these namespaces in which a visitor has a right.
    pub(crate) async fn among(
        &self,
        visitor: &Visitor,
        right: Right,
        namespaces: Vec<String>,
    ) -> Result<Vec<String>, Error> {
        // Whoever may in all costs one review.
        if namespaces.len() > 1 && self.may(visitor, right, ALL.to_owned()).await? {
            return Ok(namespaces);
        }
        let asked = stream::iter(namespaces).map(|namespace| async {
            let may = self.may(visitor, right, namespace.clone()).await?;
            Ok::<_, Error>(may.then_some(namespace))
        });
        let answers: Vec<_> = asked.buffered(AT_ONCE).try_collect().await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Whether a visitor has a right in a namespace.
    pub(crate) async fn may(
        &self,
        visitor: &Visitor,
        right: Right,
        namespace: String,
    ) -> Result<bool, Error> {
        let identity = &visitor.pass.identity;
        let question = (visitor.name.clone(), right, namespace.clone());
        let recent = |age, may| self.answers.recent(&question, age) == Some(may);
        if !recent(ALLOWED, true) && !recent(DENIED, false) {
            self.take(&identity.user)?;
        }
        let ages = |&may: &bool| Ages {
            good: if may { ALLOWED } else { DENIED },
            outage: Duration::ZERO,
        };
        let ask = async {
            let review = review(identity, right, namespace);
            Ok(access::may(&self.client, review).await?)
        };
        self.answers.get(question.clone(), ages, ask).await
    }

    fn take(&self, user: &str) -> Result<(), Error> {
        let now = Instant::now();
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let full = || Bucket::a_minute(self.a_minute, now);
        let taken = users.get_or_insert_mut(user.to_owned(), full).take(now);
        taken.then_some(()).ok_or(Error::TooMany)
    }
}

fn review(identity: &Identity, right: Right, namespace: String) -> SubjectAccessReviewSpec {
    let verb = match right {
        Right::List => "list",
        Right::Get => "get",
    };
    let of = ResourceAttributes {
        group: Some("podgate.io".to_owned()),
        resource: Some("recordings".to_owned()),
        verb: Some(verb.to_owned()),
        namespace: Some(namespace),
        ..ResourceAttributes::default()
    };
    SubjectAccessReviewSpec {
        user: Some(identity.user.clone()),
        groups: Some(access::groups(identity)),
        extra: (!identity.extra.is_empty()).then(|| identity.extra.clone()),
        resource_attributes: Some(of),
        ..SubjectAccessReviewSpec::default()
    }
}
