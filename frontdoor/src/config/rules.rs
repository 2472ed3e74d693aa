//! The `rules` of the configuration: what this frontdoor denies although Kubernetes allows it. A rule
//! that is empty or can be read in two ways is an error.

use std::collections::BTreeMap;

use podgate_process::config::Invalid;
use serde::Deserialize;

use crate::login_name::{Requirement, Selector};

/// One rule. Each field is explained in `frontdoor.example.yaml`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it does.
    pub what: What,
    /// The sessions that it is about: those that all of these match.
    pub selectors: Selectors,
    /// What the user reads in place of the usual sentence.
    pub reason: Option<String>,
}

/// What a rule does to a session that it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Refuses it.
    Deny,
    /// Refuses it, unless its user is in one of these groups.
    Require(Vec<String>),
}

/// Which sessions a rule is about. An absent selector matches all.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Selectors {
    /// Names, in which `*` stands for any number of characters, and `?` for one.
    pub namespaces: Option<Vec<String>>,
    pub pods: Option<Selector>,
    /// As of namespaces.
    pub containers: Option<Vec<String>>,
    pub groups: Option<Vec<String>>,
    pub runtime_classes: Option<Vec<String>>,
    pub host_network: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    deny: Option<SelectorsFile>,
    require: Option<RequireFile>,
    r#where: Option<SelectorsFile>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequireFile {
    groups: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SelectorsFile {
    namespaces: Option<Vec<String>>,
    pod_selector: Option<PodSelectorFile>,
    containers: Option<Vec<String>>,
    groups: Option<Vec<String>>,
    runtime_classes: Option<Vec<String>>,
    host_network: Option<bool>,
}

/// As of NetworkPolicy: metav1.LabelSelector.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[derive(Default)]
struct PodSelectorFile {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<ExpressionFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpressionFile {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

/// Reads all rules. An error says what is wrong with one.
pub(super) fn check(files: Vec<File>) -> Result<Vec<Rule>, Invalid> {
    let numbered = files.into_iter().enumerate();
    numbered
        .map(|(at, file)| {
            let read = file.check();
            read.map_err(|reason| Invalid::new("rules", format!("the {}. {reason}", at + 1)))
        })
        .collect()
}

impl File {
    fn check(self) -> Result<Rule, String> {
        let (what, selectors) = match (self.deny, self.require, self.r#where) {
            (Some(deny), None, None) => (What::Deny, Some(deny)),
            (None, Some(require), at) => {
                if require.groups.is_empty() {
                    return Err("lists no groups; use deny".to_owned());
                }
                (What::Require(require.groups), at)
            }
            (Some(_), ..) => return Err("has deny together with require or where".to_owned()),
            (None, None, _) => return Err("has neither deny nor require".to_owned()),
        };
        let selectors = selectors.map(SelectorsFile::check).transpose()?;
        let all = selectors.is_none();
        let selectors = selectors.unwrap_or_default();
        if !all && selectors.are_none() {
            return Err("has no selectors; every session would match".to_owned());
        }
        Ok(Rule {
            what,
            selectors,
            reason: self.reason,
        })
    }
}

impl SelectorsFile {
    pub(super) fn check(self) -> Result<Selectors, String> {
        for (key, list) in [
            ("namespaces", &self.namespaces),
            ("containers", &self.containers),
            ("groups", &self.groups),
            ("runtimeClasses", &self.runtime_classes),
        ] {
            if list.as_ref().is_some_and(Vec::is_empty) {
                return Err(format!(
                    "has an empty list {key}, which would match nothing"
                ));
            }
        }
        let pods = self.pod_selector.map(PodSelectorFile::check).transpose()?;
        Ok(Selectors {
            namespaces: self.namespaces,
            pods,
            containers: self.containers,
            groups: self.groups,
            runtime_classes: self.runtime_classes,
            host_network: self.host_network,
        })
    }
}

impl Selectors {
    fn are_none(&self) -> bool {
        self.namespaces.is_none()
            && self.pods.is_none()
            && self.containers.is_none()
            && self.groups.is_none()
            && self.runtime_classes.is_none()
            && self.host_network.is_none()
    }
}

impl PodSelectorFile {
    fn check(self) -> Result<Selector, String> {
        let requirements = self.match_expressions.into_iter().map(|expression| {
            let ExpressionFile {
                key,
                operator,
                values,
            } = expression;
            Requirement::new(key, &operator, values).map_err(|error| format!("{error}"))
        });
        let requirements = requirements.collect::<Result<_, _>>()?;
        Ok(Selector::of_workload(self.match_labels, requirements))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Vec<Rule>, String> {
        let files: Vec<File> = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        check(files).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn the_examples_rules_are_rules() {
        let example = include_str!("../../frontdoor.example.yaml");
        let (_, rest) = example.split_once("# rules:\n").unwrap();
        let (rules, _) = rest.split_once("rules: []").unwrap();
        let rules: String = rules
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix('#').unwrap()))
            .collect();
        let [deny, require] = &read(&rules).unwrap()[..] else {
            panic!("{rules}");
        };
        assert_eq!(deny.what, What::Deny);
        assert_eq!(deny.reason.as_deref(), Some("ask the platform team"));
        assert_eq!(deny.selectors.host_network, Some(true));
        assert_eq!(require.what, What::Require(vec!["dba".into()]));
        assert!(require.selectors.pods.is_some());
    }

    #[test]
    fn what_says_nothing_or_two_things_is_refused() {
        let error = |yaml: &str, expect: &str| {
            let error = read(yaml).err().unwrap_or_default();
            assert!(error.contains(expect), "{yaml:?} gave {error:?}");
        };
        error("[{}]", "the 1. has neither");
        error("[{deny: {}}]", "has no selectors");
        error("[{deny: {groups: []}}]", "would match nothing");
        error("[{require: {groups: []}}]", "no groups");
        error("[{require: {groups: [a]}, where: {}}]", "has no selectors");
        error(
            "[{require: {groups: [a]}}, {deny: {groups: [b]}, where: {groups: [c]}}]",
            "the 2. has deny",
        );
        error("[{deny: {namespace: [a]}}]", "namespace");
        let expression = "{key: a, operator: Gt, values: ['1']}";
        error(
            &format!("[{{deny: {{podSelector: {{matchExpressions: [{expression}]}}}}}}]"),
            "Gt",
        );
    }
}
