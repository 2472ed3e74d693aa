//! A frontdoor's grant, held against what only this node can know: its own name, clock and rules.
//! Nothing is opened in a container without a [`Granted`].

use std::time::{SystemTime, UNIX_EPOCH};

use podgate_proto::v1::{Action, Grant};
use serde::{Deserialize, Serialize};

/// The agent's own last word, whatever a frontdoor grants.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Deny {
    /// Namespaces that no one may enter on this node.
    pub namespaces: Vec<String>,
    /// Whether pods that share the node's network are closed.
    pub host_network: bool,
}

/// One container that may be entered. The only ways to one are [`check`] and this node's own journal,
/// for ending what such a one has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
    /// The container's name.
    pub container: String,
    /// The container's id as in the pod's status, `<runtime>://<id>`.
    pub container_id: String,
}

/// Why a grant is worth nothing here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("the grant names no {0}")]
    Missing(&'static str),
    #[error("the grant is for node {0:?}")]
    Node(String),
    #[error("the grant has expired; are the clocks of frontdoor and node apart?")]
    Expired,
    #[error("the grant is for another action")]
    Action,
    #[error("sessions in namespace {0:?} are denied on this node")]
    Namespace(String),
    #[error("sessions in pods on the host network are denied on this node")]
    HostNetwork,
}

/// Checks all that needs no question to the kubelet.
pub fn check(
    grant: Option<Grant>,
    action: Action,
    node: &str,
    deny: &Deny,
    now: SystemTime,
) -> Result<Granted, Error> {
    let grant = grant.ok_or(Error::Missing("grant"))?;
    let (granted_action, expires_at) = (grant.action(), grant.expires_at);
    let pod = grant.pod.ok_or(Error::Missing("pod"))?;
    let container = grant.container.ok_or(Error::Missing("container"))?;
    let user = grant
        .identity
        .map(|identity| identity.user)
        .unwrap_or_default();
    // Names go into a path: what Kubernetes would not accept as a name must not get there.
    let word = |text: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        text.bytes().all(|b| plain(b) || b == b'-')
            && text.bytes().next().is_some_and(plain)
            && text.bytes().last().is_some_and(plain)
    };
    let named = |text: &str| text.len() <= 253 && text.split('.').all(word);
    for (what, present) in [
        ("identity", !user.is_empty()),
        ("namespace", named(&pod.namespace)),
        ("pod name", named(&pod.name)),
        ("pod UID", named(&pod.uid)),
        ("container", named(&container.name)),
        ("container id", !container.id.is_empty()),
    ] {
        if !present {
            return Err(Error::Missing(what));
        }
    }
    if pod.node != node {
        return Err(Error::Node(pod.node));
    }
    if granted_action != action {
        return Err(Error::Action);
    }
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64);
    if expires_at <= now {
        return Err(Error::Expired);
    }
    if deny.namespaces.contains(&pod.namespace) {
        return Err(Error::Namespace(pod.namespace));
    }
    // The frontdoor's word is enough to refuse; the kubelet is asked too before input flows.
    check_network(deny, pod.host_network)?;
    Ok(Granted {
        namespace: pod.namespace,
        pod: pod.name,
        uid: pod.uid,
        container: container.name,
        container_id: container.id,
    })
}

/// The rule on the node's network, for what the kubelet itself says of the pod.
pub fn check_network(deny: &Deny, host_network: bool) -> Result<(), Error> {
    if deny.host_network && host_network {
        Err(Error::HostNetwork)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use podgate_proto::v1::{Container, Identity, Pod};
    use std::time::Duration;

    fn grant() -> Grant {
        Grant {
            identity: Some(Identity {
                user: "ada".into(),
                ..Identity::default()
            }),
            pod: Some(Pod {
                namespace: "prod".into(),
                name: "web-0".into(),
                uid: "u1".into(),
                node: "node-a".into(),
                host_network: false,
            }),
            container: Some(Container {
                name: "main".into(),
                id: "containerd://c1".into(),
            }),
            action: Action::Exec.into(),
            expires_at: 100,
        }
    }

    fn outcome(deny: &Deny, change: impl Fn(&mut Grant, &mut Pod)) -> Result<Granted, Error> {
        let mut grant = grant();
        let mut pod = grant.pod.take().unwrap_or_default();
        change(&mut grant, &mut pod);
        grant.pod = Some(pod);
        let now = UNIX_EPOCH + Duration::from_secs(99);
        check(Some(grant), Action::Exec, "node-a", deny, now)
    }

    #[test]
    fn a_sound_grant_passes() {
        let granted = outcome(&Deny::default(), |_, _| {});
        assert_eq!(granted.map(|granted| granted.uid), Ok("u1".to_owned()));
    }

    #[test]
    fn anything_amiss_refuses() {
        let none = Deny::default();
        let check = |deny: &Deny, change: fn(&mut Grant, &mut Pod), expect: Error| {
            assert_eq!(outcome(deny, change), Err(expect));
        };
        check(&none, |g, _| g.expires_at = 99, Error::Expired);
        check(
            &none,
            |g, _| g.action = Action::Forward.into(),
            Error::Action,
        );
        check(&none, |g, _| g.action = 99, Error::Action);
        check(
            &none,
            |_, p| p.node = "node-b".into(),
            Error::Node("node-b".into()),
        );
        check(&none, |g, _| g.identity = None, Error::Missing("identity"));
        check(
            &none,
            |g, _| g.container = None,
            Error::Missing("container"),
        );
        check(&none, |_, p| p.uid.clear(), Error::Missing("pod UID"));
        check(
            &none,
            |_, p| p.name = "../x".into(),
            Error::Missing("pod name"),
        );
        check(&none, |_, p| p.uid = "..".into(), Error::Missing("pod UID"));
        check(
            &none,
            |_, p| p.namespace = "a?b".into(),
            Error::Missing("namespace"),
        );
        let deny = Deny {
            namespaces: vec!["prod".into()],
            host_network: true,
        };
        check(&deny, |_, _| {}, Error::Namespace("prod".into()));
        let deny = Deny {
            host_network: true,
            ..Deny::default()
        };
        check(&deny, |_, p| p.host_network = true, Error::HostNetwork);
    }
}
