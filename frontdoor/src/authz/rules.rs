//! The frontdoor's own rules, which take away from what Kubernetes allows. All of them are checked once
//! the pod and container of a session are known.

use podgate_identity::{Identity, wildcard};

use crate::config::{Rule, Selectors, What};
use crate::pod::{Container, Pod};

/// Why a rule refuses a session: what the user reads.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Error {
    #[error("a rule of this frontdoor denies sessions here: {0}")]
    Reason(String),
    #[error("a rule of this frontdoor denies you sessions in container {container} of pod {pod}")]
    Denied { pod: String, container: String },
    #[error(
        "a rule of this frontdoor lets only group {groups} into container {container} of pod {pod}"
    )]
    Required {
        groups: String,
        pod: String,
        container: String,
    },
}

/// Checks that no rule refuses the session.
pub(super) fn check(
    rules: &[Rule],
    identity: &Identity,
    pod: &Pod,
    container: &Container,
) -> Result<(), Error> {
    let refuses = |rule: &&Rule| {
        matches(&rule.selectors, identity, pod, container)
            && match &rule.what {
                What::Deny => true,
                What::Require(groups) => !groups.iter().any(|g| identity.groups.contains(g)),
            }
    };
    let Some(rule) = rules.iter().find(refuses) else {
        return Ok(());
    };
    let (pod, container) = (pod.name.clone(), container.name.clone());
    Err(match (&rule.reason, &rule.what) {
        (Some(reason), _) => Error::Reason(reason.clone()),
        (None, What::Deny) => Error::Denied { pod, container },
        (None, What::Require(groups)) => Error::Required {
            groups: groups.join(" or "),
            pod,
            container,
        },
    })
}

/// Whether a session there matches all selectors.
pub(crate) fn matches(
    selectors: &Selectors,
    identity: &Identity,
    pod: &Pod,
    container: &Container,
) -> bool {
    let Selectors {
        namespaces,
        pods,
        containers,
        groups,
        runtime_classes,
        host_network,
    } = selectors;
    let named = |patterns: &Option<Vec<String>>, name: &str| {
        patterns.as_ref().is_none_or(|patterns| {
            patterns
                .iter()
                .any(|pattern| wildcard::matches(pattern, name))
        })
    };
    let class = pod.runtime_class.as_deref();
    named(namespaces, &pod.namespace)
        && named(containers, &container.name)
        && pods
            .as_ref()
            .is_none_or(|pods| pods.matches(|key| pod.labels.get(key).map(String::as_str)))
        && groups
            .as_ref()
            .is_none_or(|groups| groups.iter().any(|g| identity.groups.contains(g)))
        && runtime_classes
            .as_ref()
            .is_none_or(|classes| classes.iter().any(|own| Some(own.as_str()) == class))
        && host_network.is_none_or(|host_network| host_network == pod.host_network)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use podgate_identity::Source;

    use crate::login_name::Requirement;

    /// `ada`, who logged in by a key, in these groups.
    pub(in super::super) fn ada(groups: &[&str]) -> Identity {
        Identity {
            user: "ada".into(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            extra: BTreeMap::new(),
            source: Source::Key,
        }
    }

    fn pod(change: impl Fn(&mut Pod)) -> Pod {
        let mut pod = Pod::web_0(Vec::new());
        change(&mut pod);
        pod
    }

    fn refusal(what: What, selectors: Selectors, pod: &Pod, groups: &[&str]) -> Option<String> {
        let identity = ada(groups);
        let container = Container {
            name: "main".into(),
            running: None,
        };
        let rule = Rule {
            what,
            selectors,
            reason: None,
        };
        let refused = check(&[rule], &identity, pod, &container);
        refused.err().map(|error| error.to_string())
    }

    #[test]
    fn a_rule_is_about_what_all_its_selectors_match() {
        let names = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        let check = |change: fn(&mut Pod), selectors: Selectors, groups: &[&str], expect: bool| {
            let refused = refusal(What::Deny, selectors.clone(), &pod(change), groups);
            assert_eq!(refused.is_some(), expect, "{selectors:?} {groups:?}");
        };
        let none = Selectors::default;
        let of = |namespaces: &[&str]| Selectors {
            namespaces: names(namespaces),
            ..none()
        };
        check(|_| {}, none(), &[], true);
        check(|_| {}, of(&["prod"]), &[], true);
        check(|_| {}, of(&["test", "pr*"]), &[], true);
        check(|_| {}, of(&["test"]), &[], false);
        let containers = |containers: &[&str]| Selectors {
            containers: names(containers),
            ..of(&["prod"])
        };
        check(|_| {}, containers(&["main"]), &[], true);
        check(|_| {}, containers(&["side*"]), &[], false);
        let grouped = Selectors {
            groups: names(&["dev", "ops"]),
            ..none()
        };
        check(|_| {}, grouped.clone(), &["x", "ops"], true);
        check(|_| {}, grouped, &["x"], false);
        let class = Selectors {
            runtime_classes: names(&["kata"]),
            ..none()
        };
        check(|_| {}, class.clone(), &[], false);
        check(
            |pod| pod.runtime_class = Some("kata".into()),
            class.clone(),
            &[],
            true,
        );
        check(
            |pod| pod.runtime_class = Some("runc".into()),
            class,
            &[],
            false,
        );
        let on_host = |host_network| Selectors {
            host_network: Some(host_network),
            ..none()
        };
        check(|pod| pod.host_network = true, on_host(true), &[], true);
        check(|pod| pod.host_network = true, on_host(false), &[], false);
        check(|_| {}, on_host(true), &[], false);
        let web = Requirement::In("app".into(), vec!["web".into()]);
        let labelled = Selectors {
            pods: Some(crate::login_name::Selector::All(vec![web])),
            ..none()
        };
        check(|_| {}, labelled.clone(), &[], false);
        let label = |pod: &mut Pod| {
            pod.labels.insert("app".into(), "web".into());
        };
        check(label, labelled, &[], true);
    }

    #[test]
    fn what_is_required_is_one_of_the_groups() {
        let check = |groups: &[&str], expect: Option<&str>| {
            let what = What::Require(vec!["dba".into(), "ops".into()]);
            let refused = refusal(what, Selectors::default(), &pod(|_| {}), groups);
            assert_eq!(refused.as_deref(), expect, "{groups:?}");
        };
        check(&["dev", "ops"], None);
        check(
            &["dev"],
            Some(
                "a rule of this frontdoor lets only group dba or ops into container main of pod web-0",
            ),
        );
    }
}
