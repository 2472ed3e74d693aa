//! Which pods an object selects by their labels: the semantics of metav1.LabelSelector (deployments,
//! statefulsets, daemonsets, replicasets and jobs, in `spec.selector`) and of a service's.

use std::collections::BTreeMap;
use std::fmt;

/// Which pods of its namespace an object selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// No pods: the meaning of an absent selector (LabelSelectorAsSelector).
    Nothing,
    /// Pods that meet all of these; without any, all pods.
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

/// A requirement that the API does not have: it is of a later release, or broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a selector requires {key} {operator} with {values} values, which is not supported")]
pub struct UnknownRequirement {
    /// Its key.
    pub key: String,
    /// Its operator.
    pub operator: String,
    /// How many values it has.
    pub values: usize,
}

impl Selector {
    /// A metav1.LabelSelector, whose two halves must both hold. An empty one selects all pods.
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

    /// A service's selector. An empty one selects no pods: somebody else makes the endpoints
    /// (ServiceSpec.selector).
    pub fn of_service(selector: BTreeMap<String, String>) -> Self {
        if selector.is_empty() {
            return Self::Nothing;
        }
        Self::of_workload(selector, Vec::new())
    }

    /// Pods with all of these labels.
    pub fn of_labels(labels: &BTreeMap<String, String>) -> Self {
        Self::of_workload(labels.clone(), Vec::new())
    }

    /// Whether a pod is selected. `label` gives the pod's value for a key.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        match self {
            Self::Nothing => false,
            Self::All(all) => all.iter().all(|requirement| requirement.holds(&label)),
        }
    }

    /// Its size in bytes, roughly.
    pub fn size(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::All(all) => all.iter().map(Requirement::size).sum(),
        }
    }

    /// As a request's `labelSelector` (labels.Parse); `None` if no pod can be selected.
    pub fn query(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::All(all) => {
                let terms: Vec<_> = all.iter().map(ToString::to_string).collect();
                Some(terms.join(","))
            }
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(key, values) => match values.as_slice() {
                [value] => write!(f, "{key}={value}"),
                values => write!(f, "{key} in ({})", values.join(",")),
            },
            Self::NotIn(key, values) => write!(f, "{key} notin ({})", values.join(",")),
            Self::Exists(key) => f.write_str(key),
            Self::DoesNotExist(key) => write!(f, "!{key}"),
        }
    }
}

impl Requirement {
    /// Reads one of `matchExpressions`. Some operators have values and some have none
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

    fn size(&self) -> usize {
        let of = |text: &String| size_of::<String>() + text.len();
        size_of::<Self>()
            + match self {
                Self::In(key, values) | Self::NotIn(key, values) => {
                    of(key) + values.iter().map(of).sum::<usize>()
                }
                Self::Exists(key) | Self::DoesNotExist(key) => of(key),
            }
    }

    fn holds<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let among = |key: &str, values: &[String]| {
            label(key).is_some_and(|here| values.iter().any(|value| value == here))
        };
        match self {
            Self::In(key, values) => among(key, values),
            Self::NotIn(key, values) => !among(key, values),
            Self::Exists(key) => label(key).is_some(),
            Self::DoesNotExist(key) => label(key).is_none(),
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

    fn matches(selector: &Selector, pod: &str) -> bool {
        let labels = labels(pod);
        selector.matches(|key| labels.get(key).map(String::as_str))
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
                assert!(matches(&selector, pod), "{selector:?}: {pod}");
            }
            for pod in no {
                assert!(!matches(&selector, pod), "{selector:?}: {pod}");
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
        assert!(matches(&service("app=web"), "app=web,x=y"));
        assert!(!matches(&service("app=web"), "x=y"));
        assert!(!matches(&service(""), ""));
        assert!(!matches(&Selector::Nothing, "app=web"));
    }

    #[test]
    fn a_selector_is_asked_for_in_the_apis_words() {
        let expressions = [
            "a In b c",
            "a In b",
            "a NotIn b c",
            "a Exists",
            "a DoesNotExist",
        ];
        let expressions = expressions.map(|text| requirement(text).unwrap());
        let selector = Selector::of_workload(labels("x.io/y=z,e="), expressions.to_vec());
        let expect = "e=,x.io/y=z,a in (b,c),a=b,a notin (b,c),a,!a";
        assert_eq!(selector.query().as_deref(), Some(expect));
        assert_eq!(Selector::All(Vec::new()).query().as_deref(), Some(""));
        assert_eq!(Selector::Nothing.query(), None);
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
