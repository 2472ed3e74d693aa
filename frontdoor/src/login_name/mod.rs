//! Parses login names into targets. Pure: no I/O, no lookup.
//!
//! A login name is `[kind/]name[.namespace][+container]`, `label=value,…[.namespace][+container]` or a
//! reserved name; `help.txt` has examples. Only names that are valid in Kubernetes pass. The text of a
//! target parses to the same target.

mod kind;
mod names;
mod pick;
mod reserved;
mod selector;

use std::collections::BTreeMap;
use std::fmt;

pub(crate) use kind::Kind;
pub(crate) use names::is_label;
pub(crate) use pick::{Candidate, NoneReady, pick};
pub(crate) use reserved::{HELP, Reserved};
pub(crate) use selector::{Requirement, Selector, UnknownRequirement};

use names::{is_label_key, is_label_value, is_subdomain};

/// What separates a kind from a name, and the parts of a label's key. `~` is for scp and rsync, which
/// take a word with a slash before the colon for a path.
const SLASH: [char; 2] = ['/', '~'];

/// What a login name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Pod {
        namespace: String,
        name: String,
        /// The container's name, if one was given.
        container: Option<String>,
    },
    /// A ready pod of a workload or a service.
    Workload {
        kind: Kind,
        namespace: String,
        name: String,
        container: Option<String>,
    },
    /// A ready pod that has all of these labels.
    Labels {
        /// Values by key; at least one.
        labels: BTreeMap<String, String>,
        namespace: String,
        container: Option<String>,
    },
    /// A request to the frontdoor itself.
    Reserved(Reserved),
}

/// Why a login name is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Error {
    #[error("{0} is not valid in Kubernetes; {GRAMMAR}")]
    Part(&'static str),
    #[error("the kind is unknown; {GRAMMAR}")]
    Kind,
    #[error("a label cannot have a kind; {GRAMMAR}")]
    KindOfLabels,
    #[error("a label has no value; {GRAMMAR}")]
    NoValue,
    #[error("a label is given twice; {GRAMMAR}")]
    Twice,
}

const GRAMMAR: &str = "log in as [kind/]name[.namespace][+container] or \
    label=value[,label=value...][.namespace][+container], or as help for examples";

impl Target {
    /// Reads a login name.
    pub(crate) fn parse(login: &str, default_namespace: &str) -> Result<Self, Error> {
        // Only the bare word is reserved: `pod/help` and `help.prod` are pods.
        if let Some(reserved) = Reserved::named(login) {
            return Ok(Self::Reserved(reserved));
        }
        let (rest, container) = match login.split_once('+') {
            Some((rest, container)) => (rest, Some(container)),
            None => (login, None),
        };
        // Only labels have a `=`.
        let by_labels = rest.contains('=');
        let (kind, rest) = match rest.split_once(SLASH) {
            Some((kind, rest)) if !by_labels => (Kind::parse(kind).ok_or(Error::Kind)?, rest),
            _ => (None, rest),
        };
        // If a `=` follows, the dot belongs to a label's key, or to a value before the last.
        let (named, namespace) = rest
            .rsplit_once('.')
            .filter(|(_, namespace)| !namespace.contains('='))
            .unwrap_or((rest, default_namespace));
        let labels = by_labels.then(|| labels(named)).transpose()?;
        if labels.is_none() {
            match kind {
                None => check("the pod's name", is_subdomain(named))?,
                Some(kind) => check(kind.part(), kind.can_be_named(named))?,
            }
        }
        check("the namespace", is_label(namespace))?;
        check("the container", container.is_none_or(is_label))?;
        let (name, namespace) = (named.to_owned(), namespace.to_owned());
        let container = container.map(str::to_owned);
        Ok(match (labels, kind) {
            (Some(labels), _) => Self::Labels {
                labels,
                namespace,
                container,
            },
            (None, Some(kind)) => Self::Workload {
                kind,
                namespace,
                name,
                container,
            },
            (None, None) => Self::Pod {
                namespace,
                name,
                container,
            },
        })
    }

    /// The target's namespace; `None` for a reserved name.
    pub(crate) fn namespace(&self) -> Option<&str> {
        match self {
            Self::Pod { namespace, .. }
            | Self::Workload { namespace, .. }
            | Self::Labels { namespace, .. } => Some(namespace),
            Self::Reserved(_) => None,
        }
    }

    /// The words for a target that does not exist, and for one that the user may not enter: the same.
    pub(crate) fn absent(&self) -> Absent {
        let namespace = self.namespace().unwrap_or_default();
        Absent(match self {
            Self::Pod { name, .. } => {
                format!("no pod {name} in namespace {namespace}, or you may not enter it")
            }
            Self::Workload { kind, name, .. } => {
                let kind = kind.as_str();
                format!("no {kind}/{name} in namespace {namespace}, or you may not enter its pods")
            }
            Self::Labels { labels, .. } => {
                let labels = written(labels);
                format!("no pod with {labels} in namespace {namespace}, or you may not enter it")
            }
            Self::Reserved(word) => format!("{} is no pod", word.as_str()),
        })
    }

    /// The same target, whichever container was given.
    pub(crate) fn without_container(&self) -> Self {
        let mut target = self.clone();
        match &mut target {
            Self::Pod { container, .. }
            | Self::Workload { container, .. }
            | Self::Labels { container, .. } => *container = None,
            Self::Reserved(_) => {}
        }
        target
    }

    /// The container, if one was given.
    pub(crate) fn container(&self) -> Option<&str> {
        match self {
            Self::Pod { container, .. }
            | Self::Workload { container, .. }
            | Self::Labels { container, .. } => container.as_deref(),
            Self::Reserved(_) => None,
        }
    }
}

fn check(part: &'static str, valid: bool) -> Result<(), Error> {
    if valid {
        Ok(())
    } else {
        Err(Error::Part(part))
    }
}

fn labels(text: &str) -> Result<BTreeMap<String, String>, Error> {
    let mut labels = BTreeMap::new();
    for label in text.split(',') {
        let (key, value) = label.split_once('=').ok_or(Error::NoValue)?;
        let prefix = key.split_once(SLASH).map(|(prefix, _)| prefix);
        // `pod/app=web` may mean pods with app=web, or those with a label whose key is `pod/app`.
        if prefix.is_some_and(|prefix| Kind::parse(prefix).is_some()) {
            return Err(Error::KindOfLabels);
        }
        let key = key.replacen(SLASH, "/", 1);
        check("a label's key", is_label_key(&key))?;
        check("a label's value", is_label_value(value))?;
        if labels.insert(key, value.to_owned()).is_some() {
            return Err(Error::Twice);
        }
    }
    Ok(labels)
}

fn written(labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    labels.join(",")
}

/// Words that do not tell a missing target from a forbidden one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Absent(String);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// In full, with the namespace, so that it means the same everywhere.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { name, .. } => f.write_str(name)?,
            Self::Workload { kind, name, .. } => write!(f, "{}/{name}", kind.as_str())?,
            Self::Labels { labels, .. } => f.write_str(&written(labels))?,
            Self::Reserved(word) => f.write_str(word.as_str())?,
        }
        if let Some(namespace) = self.namespace() {
            write!(f, ".{namespace}")?;
        }
        if let Some(container) = self.container() {
            write!(f, "+{container}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
