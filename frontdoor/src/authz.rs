//! Whether someone may enter: the only maker of a [`Grant`], which nothing dials a node without.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use podgate_proto::v1;

use crate::identity::Identity;
use crate::target::{Container, Pod, Target};

/// What someone wants to do in a container.
pub use podgate_proto::v1::Action;

/// How long a grant is good for starting what it allows. It travels at once; the rest is for
/// clocks that differ.
const LIFETIME: Duration = Duration::from_secs(60);

/// Why someone may not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("the pod resolved to another name than was authorized")]
    OtherPod,
    #[error("container {0} is not running")]
    NotRunning(String),
}

/// Decides. Every known user may enter every pod; RBAC takes this place.
#[derive(Debug, Clone, Default)]
pub struct Authorizer(());

/// Proof that an identity may do an action in what a target names, before anything was looked up:
/// a pod that one may not enter looks the same as one that does not exist.
#[derive(Debug)]
pub struct Permit<'a> {
    identity: &'a Identity,
    target: &'a Target,
    action: Action,
}

/// Proof that one action is allowed in one container of one pod.
#[derive(Debug)]
pub struct Grant {
    grant: v1::Grant,
    node_address: std::net::IpAddr,
}

impl Authorizer {
    /// Asks by name alone.
    pub async fn authorize<'a>(
        &self,
        identity: &'a Identity,
        target: &'a Target,
        action: Action,
    ) -> Result<Permit<'a>, Error> {
        Ok(Permit {
            identity,
            target,
            action,
        })
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
        let running = container.running.clone();
        let id = running.ok_or_else(|| Error::NotRunning(container.name.clone()))?;
        let expires = SystemTime::now() + LIFETIME;
        let grant = v1::Grant {
            identity: Some(v1::Identity {
                user: self.identity.user.clone(),
                groups: self.identity.groups.clone(),
                source: self.identity.source.as_str().to_owned(),
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
        Ok(Grant {
            grant,
            node_address: pod.node_address,
        })
    }
}

impl Grant {
    /// The node that it is for.
    pub fn node(&self) -> &str {
        self.grant
            .pod
            .as_ref()
            .map(|pod| pod.node.as_str())
            .unwrap_or_default()
    }

    /// That node's address.
    pub fn node_address(&self) -> std::net::IpAddr {
        self.node_address
    }

    /// As it travels.
    pub fn into_message(self) -> v1::Grant {
        self.grant
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
            containers: vec![Container {
                name: "main".into(),
                running: Some("cri://c1".into()),
            }],
            default_container: None,
        }
    }

    #[tokio::test]
    async fn a_grant_is_for_what_was_authorized_and_runs() {
        let identity = Identity {
            user: "ada".into(),
            groups: vec![],
            extra: Default::default(),
            source: Source::Key,
        };
        let target = Target::parse("web-0.prod", "default").unwrap();
        let permit = async || {
            Authorizer::default()
                .authorize(&identity, &target, Action::Exec)
                .await
                .unwrap()
        };
        let pod = pod();
        let main = pod.containers.first().unwrap();

        let grant = permit().await.grant(&pod, main).unwrap();
        assert_eq!(grant.node(), "node-a");
        let message = grant.into_message();
        assert_eq!(message.action(), Action::Exec);
        assert_eq!(message.container.unwrap().id, "cri://c1");

        let other = Pod {
            name: "web-1".into(),
            ..pod.clone()
        };
        assert_eq!(
            permit().await.grant(&other, main).unwrap_err(),
            Error::OtherPod
        );
        let stopped = Container {
            running: None,
            ..main.clone()
        };
        let error = permit().await.grant(&pod, &stopped).unwrap_err();
        assert_eq!(error, Error::NotRunning("main".into()));
    }
}
