//! Which part a token's user is, and which name its certificate gets.

use k8s_openapi::api::authentication::v1::UserInfo;
use podgate_process::mtls::{self, FRONTDOOR_NAME};

use crate::ca::End;
use crate::config::{Account, Enrolment};

/// The pod's name in the review of a pod-bound token (apiserver, `pkg/authentication/serviceaccount`).
const POD: &str = "authentication.kubernetes.io/pod-name";
/// The node's name, since Kubernetes 1.30 (KEP-4193).
const NODE: &str = "authentication.kubernetes.io/node-name";

/// Why a caller gets no certificate.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Error {
    #[error("{0} may not have a certificate")]
    Stranger(String),
    #[error("the token is not bound to a pod; mount a projected serviceAccountToken")]
    NotBound,
    #[error("the API server does not name the token's node; that needs Kubernetes 1.30 or newer")]
    NoNode,
    #[error("{0:?} is not a valid node name")]
    Node(String),
}

/// A part that gets a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// The certificate's one name.
    pub(super) name: String,
    pub(super) end: End,
    /// For the log.
    pub(super) pod: String,
}

impl Caller {
    pub(super) fn is_frontdoor(&self) -> bool {
        self.name == FRONTDOOR_NAME
    }
}

/// Finds the part that this user is.
pub(super) fn caller(user: &UserInfo, config: &Enrolment) -> Result<Caller, Error> {
    let is = |account: &Account| {
        let name = format!(
            "system:serviceaccount:{}:{}",
            account.namespace, account.service_account
        );
        user.username.as_deref() == Some(&*name)
    };
    let one = |key: &str| match user.extra.as_ref()?.get(key)?.as_slice() {
        [value] if !value.is_empty() => Some(value.clone()),
        _ => None,
    };
    let (agent, frontdoor) = (is(&config.agents), is(&config.frontdoors));
    if !agent && !frontdoor {
        return Err(Error::Stranger(user.username.clone().unwrap_or_default()));
    }
    let pod = one(POD).ok_or(Error::NotBound)?;
    if frontdoor {
        return Ok(Caller {
            name: FRONTDOOR_NAME.to_owned(),
            end: End::Client,
            pod,
        });
    }
    let node = one(NODE).ok_or(Error::NoNode)?;
    let name = mtls::agent_name(&node).map_err(|_| Error::Node(node))?;
    Ok(Caller {
        name: name.to_str().into_owned(),
        end: End::Server,
        pod,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_part_gets_its_own_name_and_nobody_else_any() {
        let account = |name: &str| Account {
            namespace: "podgate".into(),
            service_account: name.into(),
        };
        let config = Enrolment {
            audience: "a".into(),
            agents: account("agent"),
            frontdoors: account("frontdoor"),
            lifetime: Duration::from_secs(1),
            connections: podgate_process::admin::BOUNDS,
            refused_a_minute: 1,
        };
        let check = |user: &str, extra: &[(&str, &[&str])], expect: Result<&str, Error>| {
            let extra = extra.iter().map(|(key, values)| {
                let values = values.iter().map(|value| (*value).to_owned());
                ((*key).to_owned(), values.collect())
            });
            let user = UserInfo {
                username: Some(format!("system:serviceaccount:{user}")),
                extra: Some(extra.collect()),
                ..UserInfo::default()
            };
            let found = caller(&user, &config).map(|caller| caller.name);
            assert_eq!(found, expect.map(str::to_owned), "{user:?}");
        };
        let pod: (&str, &[&str]) = (POD, &["p"]);
        let agent = Ok("node-a.agent.podgate");
        check("podgate:agent", &[pod, (NODE, &["node-a"])], agent);
        check("podgate:agent", &[pod], Err(Error::NoNode));
        check("podgate:agent", &[pod, (NODE, &[""])], Err(Error::NoNode));
        check(
            "podgate:agent",
            &[pod, (NODE, &["a", "b"])],
            Err(Error::NoNode),
        );
        check(
            "podgate:agent",
            &[(NODE, &["node-a"])],
            Err(Error::NotBound),
        );
        let odd = Err(Error::Node("a b".into()));
        check("podgate:agent", &[pod, (NODE, &["a b"])], odd);
        check("podgate:frontdoor", &[pod], Ok(FRONTDOOR_NAME));
        check("podgate:frontdoor", &[], Err(Error::NotBound));
        for stranger in ["other:agent", "podgate:agent2", "podgate:frontdoo", ""] {
            let name = format!("system:serviceaccount:{stranger}");
            check(
                stranger,
                &[pod, (NODE, &["node-a"])],
                Err(Error::Stranger(name)),
            );
        }
    }
}
