//! Whether someone may enter, as Kubernetes RBAC has it: the only maker of a [`Grant`], which nothing
//! dials a node without. It decides by name, before anything is looked up.

mod reviews;
mod rules;
mod standing;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use podgate_proto::v1;
use std::sync::Arc;

use crate::config::Rule;
use crate::identity::Identity;
use crate::target::{Container, Pod, Target};
use reviews::Question;
pub(crate) use reviews::Reviews;
pub(crate) use standing::Rights;
use standing::Standing;

/// What someone wants to do in a container.
pub use podgate_proto::v1::Action;

/// How long a grant is good for starting what it allows. It travels at once; the rest is for
/// clocks that differ.
const LIFETIME: Duration = Duration::from_secs(60);

/// Why someone may not.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    // The words of a pod that does not exist: who may not enter need not know which it is.
    #[error("no pod {pod} in namespace {namespace}, or you may not enter it")]
    Denied { namespace: String, pod: String },
    #[error("workloads, services and labels are not served yet; name a pod")]
    NotServed,
    #[error(transparent)]
    Review(#[from] reviews::Error),
    #[error(transparent)]
    Rule(#[from] rules::Error),
    #[error("the pod resolved to another name than was authorized")]
    OtherPod,
    #[error("container {0} is not running")]
    NotRunning(String),
}

/// Decides, by what Kubernetes says; one a core.
#[derive(Clone)]
pub struct Authorizer {
    client: kube::Client,
    reviews: Arc<Reviews>,
    rules: Arc<[Rule]>,
    standing: Arc<Standing>,
}

/// Proof that an identity may do an action in what a target names, before anything was looked up:
/// a pod that one may not enter looks the same as one that does not exist.
#[derive(Debug)]
pub struct Permit<'a> {
    identity: &'a Identity,
    target: &'a Target,
    action: Action,
    question: Question,
    rules: Arc<[Rule]>,
}

/// Proof that one action is allowed in one container of one pod.
#[derive(Debug)]
pub struct Grant(v1::Grant);

impl Authorizer {
    /// Asks by `client`, and shares its answers with the other cores in `reviews`.
    pub(crate) fn new(client: kube::Client, reviews: Arc<Reviews>, rules: Arc<[Rule]>) -> Self {
        let standing = Arc::default();
        Self {
            client,
            reviews,
            rules,
            standing,
        }
    }

    /// Asks by name alone.
    pub async fn authorize<'a>(
        &self,
        identity: &'a Identity,
        target: &'a Target,
        action: Action,
    ) -> Result<Permit<'a>, Error> {
        let subresource = match action {
            Action::Forward | Action::Listen => "portforward",
            Action::Exec | Action::Files | Action::Unspecified => "exec",
        };
        let Target::Pod {
            namespace, name, ..
        } = target
        else {
            return Err(Error::NotServed);
        };
        let question = Question::new(identity, subresource, namespace, name);
        if !self.reviews.may(&self.client, &question).await? {
            let (namespace, pod) = (namespace.clone(), name.clone());
            return Err(Error::Denied { namespace, pod });
        }
        Ok(Permit {
            identity,
            target,
            action,
            question,
            rules: Arc::clone(&self.rules),
        })
    }

    /// What a session stands on that was let in by a permit.
    pub(crate) fn stand(&self, permit: &Permit<'_>) -> Rights {
        self.standing.stand(permit.question.clone())
    }

    /// Asks again for the rights of sessions that run, for ever.
    pub(crate) async fn recheck(&self, every: Duration) {
        self.standing
            .recheck(&self.client, &self.reviews, every)
            .await;
    }
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorizer").finish_non_exhaustive()
    }
}

impl Permit<'_> {
    /// Narrows the permit to what the target resolved to.
    pub fn grant(self, pod: &Pod, container: &Container) -> Result<Grant, Error> {
        let named = matches!(self.target, Target::Pod { namespace, name, .. }
            if *namespace == pod.namespace && *name == pod.name);
        if !named {
            return Err(Error::OtherPod);
        }
        rules::check(&self.rules, self.identity, pod, container)?;
        let running = container.running.clone();
        let id = running.ok_or_else(|| Error::NotRunning(container.name.clone()))?;
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
        };
        Ok(Grant(grant))
    }
}

fn extra((key, values): (String, Vec<String>)) -> v1::Extra {
    v1::Extra { key, values }
}

impl Grant {
    /// The node that it is for.
    pub fn node(&self) -> &str {
        self.0
            .pod
            .as_ref()
            .map(|pod| pod.node.as_str())
            .unwrap_or_default()
    }

    /// As it travels.
    pub fn into_message(self) -> v1::Grant {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Source;

    fn pod() -> Pod {
        Pod {
            namespace: "prod".into(),
            name: "web-0".into(),
            uid: "u1".into(),
            node: "node-a".into(),
            node_address: [10, 0, 0, 1].into(),
            host_network: false,
            labels: Default::default(),
            runtime_class: None,
            containers: vec![Container {
                name: "main".into(),
                running: Some("cri://c1".into()),
            }],
            default_container: None,
        }
    }

    #[test]
    fn a_grant_is_for_what_was_authorized_and_runs() {
        let identity = Identity {
            user: "ada".into(),
            groups: vec![],
            extra: Default::default(),
            source: Source::Key,
        };
        let target = Target::parse("web-0.prod", "default").unwrap();
        let permit = || Permit {
            identity: &identity,
            target: &target,
            action: Action::Exec,
            question: Question::new(&identity, "exec", "prod", "web-0"),
            rules: [].into(),
        };
        let pod = pod();
        let main = pod.containers.first().unwrap();

        let grant = permit().grant(&pod, main).unwrap();
        assert_eq!(grant.node(), "node-a");
        let message = grant.into_message();
        assert_eq!(message.action(), Action::Exec);
        assert_eq!(message.container.unwrap().id, "cri://c1");

        let other = Pod {
            name: "web-1".into(),
            ..pod.clone()
        };
        assert!(matches!(permit().grant(&other, main), Err(Error::OtherPod)));
        let stopped = Container {
            running: None,
            ..main.clone()
        };
        let error = permit().grant(&pod, &stopped).unwrap_err();
        assert!(matches!(error, Error::NotRunning(name) if name == "main"));
    }
}
