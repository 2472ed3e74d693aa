//! Authorization: asks Kubernetes RBAC whether someone may enter. Only this module makes a [`Grant`],
//! and nothing dials a node without one. It decides by name, before anything is looked up.

mod reviews;
mod right;
mod rights;
mod rules;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, TryStreamExt, stream};
use podgate_identity::Identity;
use podgate_proto::v1::open::Action;
use podgate_proto::v1::{self, FilesRights};
use std::sync::Arc;

use crate::config::Rule;
use crate::login_name::{Absent, Selector, Target};
use crate::lookups::TooMany;
use crate::pod::{Container, Pod};
use reviews::Question;
pub(crate) use reviews::Reviews;
use right::Right;
pub(crate) use right::{OfRecordings, is_of_agent};
pub(crate) use rights::Rights;
use rights::RightsWatch;
pub(crate) use rules::matches;

/// How long a grant is valid for starting what it allows. It is used at once; the rest is for clocks
/// that differ.
const LIFETIME: Duration = Duration::from_secs(60);
/// Namespaces that are asked about at once.
const AT_ONCE: usize = 16;
/// The name that stands for all pods of a namespace, present and future.
const ANY: &str = "";

/// Why a user may not enter.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Error {
    // The same words as for a missing pod: a user who may not enter must not learn which it is.
    #[error("{0}")]
    Denied(Absent),
    #[error(transparent)]
    Review(reviews::Error),
    #[error(transparent)]
    TooMany(TooMany),
    #[error(transparent)]
    Rule(#[from] rules::Error),
    #[error("the target led to a pod that was not authorized")]
    OtherPod,
    #[error("container {0} is not running")]
    NotRunning(String),
    #[error("container {container} is not running yet: init container {init} runs before it")]
    Initializing { container: String, init: String },
}

impl From<reviews::Error> for Error {
    fn from(error: reviews::Error) -> Self {
        match error {
            reviews::Error::TooMany(error) => Self::TooMany(error),
            error => Self::Review(error),
        }
    }
}

impl Error {
    /// Why a container cannot be entered.
    fn not_running(pod: &Pod, container: &Container) -> Self {
        let container = container.name.clone();
        match pod.initializing.clone() {
            Some(init) => Self::Initializing { container, init },
            None => Self::NotRunning(container),
        }
    }
}

/// Decides by Kubernetes' answers. There is one per core.
#[derive(Clone)]
pub(crate) struct Authorizer {
    client: kube::Client,
    reviews: Arc<Reviews>,
    rules: Arc<[Rule]>,
    /// Whether the right to exec is enough for forwards.
    exec_suffices: bool,
    watch: Arc<RightsWatch>,
}

/// Proof that an identity may act in a target, obtained before anything was looked up, so that a
/// forbidden target looks like a missing one. For a pod the proof is for the pod's name. For a
/// workload, a service or labels it is for all pods of the namespace, and gives no grant until it is
/// narrowed to one pod.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    identity: &'a Identity,
    target: &'a Target,
    action: v1::Action,
    /// All that it stands on, of one pod or of all pods of one namespace; never none.
    questions: Vec<Question>,
    files: Option<FilesRights>,
    rules: Arc<[Rule]>,
}

/// Proof that one action is allowed in one container of one pod.
#[derive(Debug)]
pub(crate) struct Grant(v1::Grant);

impl Authorizer {
    /// Asks through `client`. All cores share the answers in `reviews`.
    pub(crate) fn new(
        client: kube::Client,
        reviews: Arc<Reviews>,
        rules: Arc<[Rule]>,
        exec_suffices: bool,
    ) -> Self {
        Self {
            client,
            reviews,
            rules,
            exec_suffices,
            watch: Arc::default(),
        }
    }

    /// Asks whether an identity may act in a target, by names alone.
    pub(crate) async fn authorize<'a>(
        &self,
        identity: &'a Identity,
        target: &'a Target,
        action: &Action,
    ) -> Result<Permit<'a>, Error> {
        let (namespace, pod) = match target {
            Target::Pod {
                namespace, name, ..
            } => (namespace.as_str(), name.as_str()),
            target => (target.namespace().unwrap_or_default(), ANY),
        };
        let ask = |right| Question::new(identity, right, namespace, pod);
        let mut questions = vec![ask(Right::of(action))];
        if !self.may(&questions).await? {
            questions.clear();
            for right in Right::parts(action, self.exec_suffices) {
                let question = [ask(*right)];
                if self.may(&question).await? {
                    questions.extend(question);
                }
            }
        }
        if questions.is_empty() {
            return Err(Error::Denied(target.absent()));
        }
        let held = questions.iter().map(|question| question.right);
        let files = matches!(action, Action::Files(_)).then(|| Right::files(held));
        Ok(Permit {
            identity,
            target,
            action: action.kind(),
            questions,
            files,
            rules: Arc::clone(&self.rules),
        })
    }

    /// Narrows a permit to the pod that its target led to. The target must select that pod, and RBAC is
    /// asked again for the pod's name.
    pub(crate) async fn narrow<'a>(
        &self,
        mut permit: Permit<'a>,
        pod: &Pod,
        selector: Option<&Selector>,
    ) -> Result<Permit<'a>, Error> {
        if permit.questions.iter().all(|question| question.pod != ANY) {
            return Ok(permit);
        }
        if !permit.covers(pod, selector) {
            return Err(Error::OtherPod);
        }
        for question in &mut permit.questions {
            question.pod.clone_from(&pod.name);
        }
        match self.may(&permit.questions).await? {
            true => Ok(permit),
            false => Err(Error::Denied(permit.target.absent())),
        }
    }

    /// Those of these namespaces where an identity may enter all pods.
    pub(crate) async fn enterable(
        &self,
        identity: &Identity,
        namespaces: Vec<String>,
    ) -> Result<Vec<String>, Error> {
        self.allowed(identity, Right::Exec, namespaces).await
    }

    /// Those of these namespaces of whose recordings an identity has a right.
    pub(crate) async fn recorded(
        &self,
        identity: &Identity,
        right: OfRecordings,
        namespaces: Vec<String>,
    ) -> Result<Vec<String>, Error> {
        let right = Right::Recordings(right);
        self.allowed(identity, right, namespaces).await
    }

    /// Whether an identity still has a right to recordings of a namespace, by an answer no older than this.
    pub(crate) async fn still_recorded(
        &self,
        identity: &Identity,
        right: OfRecordings,
        namespace: &str,
        age: Duration,
    ) -> Result<bool, Error> {
        let question = Question::new(identity, Right::Recordings(right), namespace, ANY);
        Ok(self.reviews.still(&self.client, &question, age).await?)
    }

    async fn allowed(
        &self,
        identity: &Identity,
        right: Right,
        namespaces: Vec<String>,
    ) -> Result<Vec<String>, Error> {
        let asked = stream::iter(namespaces).map(|namespace| async {
            let question = Question::new(identity, right, &namespace, ANY);
            let may = self.reviews.may(&self.client, &question).await?;
            Ok::<_, Error>(may.then_some(namespace))
        });
        let answers: Vec<_> = asked.buffered(AT_ONCE).try_collect().await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Whether they may all of these.
    async fn may(&self, questions: &[Question]) -> Result<bool, Error> {
        for question in questions {
            if !self.reviews.may(&self.client, question).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Watches the rights that a session depends on.
    pub(crate) fn watch(&self, permit: &Permit<'_>) -> Rights {
        self.watch.add(&permit.questions)
    }

    /// Rechecks the rights of running sessions, forever.
    pub(crate) async fn recheck(&self, every: Duration) {
        self.watch.recheck(&self.client, &self.reviews, every).await;
    }
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorizer").finish_non_exhaustive()
    }
}

impl Permit<'_> {
    /// Whether a target with several pods covers this one. `selector` is the selector that was read
    /// from a workload.
    fn covers(&self, pod: &Pod, selector: Option<&Selector>) -> bool {
        let selector = match self.target {
            Target::Labels { labels, .. } => Some(&Selector::of_labels(labels)),
            Target::Workload { .. } => selector,
            Target::Pod { .. } | Target::Reserved(_) => None,
        };
        let label = |key: &str| pod.labels.get(key).map(String::as_str);
        self.is_of(|question| question.namespace == pod.namespace)
            && selector.is_some_and(|selector| selector.matches(label))
    }

    /// Whether all that it stands on is of a certain place.
    fn is_of(&self, place: impl Fn(&Question) -> bool) -> bool {
        !self.questions.is_empty() && self.questions.iter().all(place)
    }

    /// Makes a grant for one container of the permit's pod.
    pub(crate) fn grant(self, pod: &Pod, container: &Container) -> Result<Grant, Error> {
        let of_pod =
            |question: &Question| question.namespace == pod.namespace && question.pod == pod.name;
        if !self.is_of(of_pod) {
            return Err(Error::OtherPod);
        }
        rules::check(&self.rules, self.identity, pod, container)?;
        let running = container.running.clone();
        let id = running.ok_or_else(|| Error::not_running(pod, container))?;
        let expires = SystemTime::now() + LIFETIME;
        let grant = v1::Grant {
            identity: Some(v1::Identity {
                user: self.identity.user.clone(),
                groups: self.identity.groups.clone(),
                source: self.identity.source.as_str().to_owned(),
                extra: self.identity.extra.clone().into_iter().map(extra).collect(),
            }),
            pod: Some(v1::Pod {
                namespace: pod.namespace.clone(),
                name: pod.name.clone(),
                uid: pod.uid.clone(),
                node: pod.node.clone(),
                host_network: pod.host_network,
            }),
            container: Some(v1::Container {
                name: container.name.clone(),
                id,
            }),
            action: self.action.into(),
            expires_at: expires
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs() as i64),
            files: self.files,
        };
        Ok(Grant(grant))
    }
}

fn extra((key, values): (String, Vec<String>)) -> v1::Extra {
    v1::Extra { key, values }
}

impl Grant {
    /// What it allows of files.
    pub(crate) fn files(&self) -> FilesRights {
        self.0.files.unwrap_or_default()
    }

    /// The node that it is for.
    pub(crate) fn node(&self) -> &str {
        self.0
            .pod
            .as_ref()
            .map(|pod| pod.node.as_str())
            .unwrap_or_default()
    }

    /// The message to the agent.
    pub(crate) fn into_message(self) -> v1::Grant {
        self.0
    }
}

#[cfg(test)]
mod tests;
