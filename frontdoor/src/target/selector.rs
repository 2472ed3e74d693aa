//! Which pods an object selects by their labels: the semantics of metav1.LabelSelector (deployments,
//! statefulsets, daemonsets, replicasets and jobs, in `spec.selector`) and of a service's.

use std::collections::BTreeMap;

/// Which pods of its namespace an object selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// None: what an absent selector does (LabelSelectorAsSelector).
    Nothing,
    /// Those that meet all of these; all pods where there are none.
    All(Vec<Requirement>),
}

/// One condition on a pod's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// The label of this key has one of these values.
    In(String, Vec<String>),
    /// It has none of them, or there is no such label.
    NotIn(String, Vec<String>),
    /// There is such a label.
    Exists(String),
    /// There is none.
    DoesNotExist(String),
}

/// A requirement that the API does not have: of a later release, or broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a selector has the requirement {key} {operator} with {values} values, which is not known")]
pub struct UnknownRequirement {
    /// Its key.
    pub key: String,
    /// Its operator.
    pub operator: String,
    /// How many values it has.
    pub values: usize,
}

impl Selector {
    /// A metav1.LabelSelector's, whose two halves must both hold. An empty one selects all pods.
    pub fn of_workload(
        match_labels: BTreeMap<String, String>,
        match_expressions: Vec<Requirement>,
    ) -> Self {
        let mut all: Vec<_> = match_labels
            .into_iter()
            .map(|(key, value)| Requirement::In(key, vec![value]))
            .collect();
        all.extend(match_expressions);
        Self::All(all)
    }

    /// A service's. An empty one selects none: its endpoints are somebody else's to make
    /// (ServiceSpec.selector).
    pub fn of_service(selector: BTreeMap<String, String>) -> Self {
        if selector.is_empty() {
            return Self::Nothing;
        }
        Self::of_workload(selector, Vec::new())
    }

    /// Whether a pod with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Nothing => false,
            Self::All(all) => all.iter().all(|requirement| requirement.holds(labels)),
        }
    }
}

impl Requirement {
    /// One of `matchExpressions`, as it stands there. Some operators have values and some have none
    /// (labels.NewRequirement).
    pub fn new(
        key: String,
        operator: &str,
        values: Vec<String>,
    ) -> Result<Self, UnknownRequirement> {
        match (operator, values.len()) {
            ("In", 1..) => Ok(Self::In(key, values)),
            ("NotIn", 1..) => Ok(Self::NotIn(key, values)),
            ("Exists", 0) => Ok(Self::Exists(key)),
            ("DoesNotExist", 0) => Ok(Self::DoesNotExist(key)),
            (_, values) => Err(UnknownRequirement {
                key,
                operator: operator.to_owned(),
                values,
            }),
        }
    }

    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => {
                !labels.get(key).is_some_and(|value| values.contains(value))
            }
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split_terminator(',');
        pairs
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    fn requirement(text: &str) -> Result<Requirement, UnknownRequirement> {
        let mut words = text.split(' ').map(str::to_owned);
        let (key, operator) = (words.next().unwrap(), words.next().unwrap());
        Requirement::new(key, &operator, words.collect())
    }

    #[test]
    fn a_workloads_selector_means_what_the_api_says() {
        let check = |equal: &str, expressions: &[&str], yes: &[&str], no: &[&str]| {
            let expressions = expressions.iter().map(|text| requirement(text).unwrap());
            let selector = Selector::of_workload(labels(equal), expressions.collect());
            for pod in yes {
                assert!(selector.matches(&labels(pod)), "{selector:?}: {pod}");
            }
            for pod in no {
                assert!(!selector.matches(&labels(pod)), "{selector:?}: {pod}");
            }
        };
        check("", &[], &["", "app=web"], &[]);
        check(
            "app=web",
            &[],
            &["app=web", "app=web,x=y"],
            &["", "app=db", "App=web", "x=web"],
        );
        check(
            "app=web,x=y",
            &[],
            &["app=web,x=y"],
            &["app=web", "x=y", "app=web,x=z"],
        );
        check("app=", &[], &["app="], &["", "app=web"]);
        check(
            "",
            &["app In web db"],
            &["app=web", "app=db"],
            &["", "app=x"],
        );
        check(
            "",
            &["app NotIn web db"],
            &["", "app=x", "x=web"],
            &["app=web", "app=db"],
        );
        check("", &["app Exists"], &["app=", "app=web"], &["", "x=y"]);
        check("", &["app DoesNotExist"], &["", "x=y"], &["app="]);
        check(
            "app=web",
            &["tier NotIn test", "x Exists"],
            &["app=web,x=1", "app=web,x=1,tier=prod"],
            &["app=web", "x=1", "app=web,x=1,tier=test"],
        );
    }

    #[test]
    fn a_service_without_a_selector_selects_nothing() {
        let service = |selector: &str| Selector::of_service(labels(selector));
        assert!(service("app=web").matches(&labels("app=web,x=y")));
        assert!(!service("app=web").matches(&labels("x=y")));
        assert!(!service("").matches(&labels("")));
        assert!(!Selector::Nothing.matches(&labels("app=web")));
    }

    #[test]
    fn what_the_api_does_not_have_is_an_error() {
        for text in [
            "a Gt 1",
            "a in b",
            "a In",
            "a NotIn",
            "a Exists b",
            "a DoesNotExist b",
        ] {
            let error = requirement(text).unwrap_err().to_string();
            let words = text.split(' ').take(2).collect::<Vec<_>>().join(" ");
            assert!(error.contains(&words), "{error}");
        }
    }
}
