//! Checks a frontdoor's grant against what only this node knows: its name, its clock and its rules.
//! Nothing is opened in a container without a [`Granted`].

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use podgate_proto::limits::MAX_IDENTITY;
use podgate_proto::v1::{Action, Grant, Identity};
use serde::{Deserialize, Serialize};

/// Bytes of a container's id with its runtime, at most; real ones have about 77.
const MAX_CONTAINER_ID: usize = 256;

/// The agent's own last word, whatever a frontdoor grants.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Deny {
    /// Namespaces that no one may enter on this node.
    pub namespaces: Vec<String>,
    /// A pod that has one of these labels is closed.
    pub labels: BTreeMap<String, String>,
    /// Pods of these runtime classes are closed.
    pub runtime_classes: Vec<String>,
    /// Whether pods that share the node's network are closed.
    pub host_network: bool,
}

impl Deny {
    /// Whether any rule is about what a pod is, which only the kubelet knows for certain.
    pub(crate) fn needs_facts(&self) -> bool {
        let Self {
            namespaces,
            labels,
            runtime_classes,
            host_network,
        } = self;
        !(namespaces.is_empty() && labels.is_empty() && runtime_classes.is_empty()) || *host_network
    }
}

/// What the kubelet says of a pod, as far as the rules go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub labels: BTreeMap<String, String>,
    /// The kind of runtime that it asks for.
    pub runtime_class: Option<String>,
    pub host_network: bool,
}

/// One container that may be entered. Only [`check`] and this node's own journal make one; the
/// journal's is for ending what was started there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Granted {
    pub namespace: String,
    pub pod: String,
    pub uid: String,
    pub container: String,
    /// The container's id as in the pod's status, `<runtime>://<id>`.
    pub container_id: String,
}

/// Why a grant is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Error {
    #[error("the grant has no {0}")]
    Missing(&'static str),
    #[error("the grant is for node {0:?}")]
    Node(String),
    #[error("the grant has expired; do the clocks of frontdoor and node differ?")]
    Expired,
    #[error("the grant is for another action")]
    Action,
    #[error("sessions in namespace {0:?} are denied on this node")]
    Namespace(String),
    #[error("the user's name, groups and extra fields take more than {MAX_IDENTITY} bytes")]
    Identity,
    #[error("sessions in pods with the label {0} are denied on this node")]
    Label(String),
    #[error("sessions in pods of runtime class {0:?} are denied on this node")]
    RuntimeClass(String),
    #[error("sessions in pods on the host network are denied on this node")]
    HostNetwork,
}

impl Error {
    /// Whether one of this node's own rules refuses it.
    pub(crate) fn is_rule(&self) -> bool {
        matches!(
            self,
            Self::Namespace(_) | Self::Label(_) | Self::RuntimeClass(_) | Self::HostNetwork
        )
    }
}

/// Checks everything that needs no question to the kubelet. Also returns who acts, for the record.
pub(crate) fn check(
    grant: Option<Grant>,
    action: Action,
    node: &str,
    deny: &Deny,
    now: SystemTime,
) -> Result<(Granted, Identity), Error> {
    let grant = grant.ok_or(Error::Missing("grant"))?;
    let (granted_action, expires_at) = (grant.action(), grant.expires_at);
    let pod = grant.pod.ok_or(Error::Missing("pod"))?;
    let container = grant.container.ok_or(Error::Missing("container"))?;
    let identity = grant.identity.unwrap_or_default();
    // Names become parts of a path. A name that Kubernetes would not accept must not get there.
    let word = |text: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        text.bytes().all(|b| plain(b) || b == b'-')
            && text.bytes().next().is_some_and(plain)
            && text.bytes().last().is_some_and(plain)
    };
    let named = |text: &str| text.len() <= 253 && text.split('.').all(word);
    for (what, present) in [
        ("identity", !identity.user.is_empty()),
        ("namespace", named(&pod.namespace)),
        ("pod name", named(&pod.name)),
        ("pod UID", named(&pod.uid)),
        ("container", named(&container.name)),
        (
            "container id",
            (1..=MAX_CONTAINER_ID).contains(&container.id.len()),
        ),
        ("node", named(&pod.node)),
    ] {
        if !present {
            return Err(Error::Missing(what));
        }
    }
    if size(&identity) > MAX_IDENTITY {
        return Err(Error::Identity);
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
    if deny.host_network && pod.host_network {
        return Err(Error::HostNetwork);
    }
    let granted = Granted {
        namespace: pod.namespace,
        pod: pod.name,
        uid: pod.uid,
        container: container.name,
        container_id: container.id,
    };
    Ok((granted, identity))
}

/// Checks the rules against what the kubelet itself says of the pod.
pub(crate) fn check_facts(deny: &Deny, facts: &Facts) -> Result<(), Error> {
    let closed = |(key, value): &(&String, &String)| facts.labels.get(*key) == Some(*value);
    if let Some((key, value)) = deny.labels.iter().find(closed) {
        return Err(Error::Label(format!("{key}={value}")));
    }
    if let Some(class) = &facts.runtime_class
        && deny.runtime_classes.contains(class)
    {
        return Err(Error::RuntimeClass(class.clone()));
    }
    if deny.host_network && facts.host_network {
        return Err(Error::HostNetwork);
    }
    Ok(())
}

/// The bytes of everything that a grant says about who acts.
fn size(identity: &Identity) -> usize {
    let Identity {
        user,
        groups,
        source,
        extra,
    } = identity;
    let all = |texts: &[String]| texts.iter().map(|text| text.len() + 1).sum::<usize>();
    let extra = extra.iter().map(|one| one.key.len() + all(&one.values) + 1);
    user.len() + source.len() + all(groups) + extra.sum::<usize>()
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
            files: None,
        }
    }

    fn outcome(deny: &Deny, change: impl Fn(&mut Grant, &mut Pod)) -> Result<Granted, Error> {
        let mut grant = grant();
        let mut pod = grant.pod.take().unwrap_or_default();
        change(&mut grant, &mut pod);
        grant.pod = Some(pod);
        let now = UNIX_EPOCH + Duration::from_secs(99);
        let checked = check(Some(grant), Action::Exec, "node-a", deny, now);
        checked.map(|(granted, _)| granted)
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
        check(&none, |g, _| g.action = Action::Dial.into(), Error::Action);
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
        let long = |g: &mut Grant, _: &mut Pod| {
            let groups = &mut g.identity.as_mut().unwrap().groups;
            groups.extend(std::iter::repeat_n(String::new(), MAX_IDENTITY));
        };
        check(&none, long, Error::Identity);
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
            ..Deny::default()
        };
        check(&deny, |_, _| {}, Error::Namespace("prod".into()));
        let deny = Deny {
            host_network: true,
            ..Deny::default()
        };
        check(&deny, |_, p| p.host_network = true, Error::HostNetwork);
    }

    #[test]
    fn what_the_kubelet_says_may_be_denied() {
        let deny = Deny {
            labels: BTreeMap::from([("closed".into(), "yes".into())]),
            runtime_classes: vec!["kata".into()],
            host_network: true,
            ..Deny::default()
        };
        let check = |change: fn(&mut Facts), expect: Result<(), Error>| {
            let mut facts = Facts::default();
            change(&mut facts);
            assert_eq!(check_facts(&deny, &facts), expect);
            assert_eq!(check_facts(&Deny::default(), &facts), Ok(()));
        };
        check(|_| {}, Ok(()));
        check(
            |facts| {
                facts.labels.insert("closed".into(), "yes".into());
            },
            Err(Error::Label("closed=yes".into())),
        );
        check(
            |facts| {
                facts.labels.insert("closed".into(), "no".into());
            },
            Ok(()),
        );
        let kata = |facts: &mut Facts| facts.runtime_class = Some("kata".into());
        check(kata, Err(Error::RuntimeClass("kata".into())));
        check(|facts| facts.runtime_class = Some("runc".into()), Ok(()));
        check(|facts| facts.host_network = true, Err(Error::HostNetwork));
    }
}
