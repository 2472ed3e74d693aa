//! The name of an object of the API server, as a configuration has it.

use serde::Deserialize;

/// The namespace and name of an object; its kind is known from the context.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "Kubernetes' own words")]
pub struct Reference {
    pub namespace: String,
    pub name: String,
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in namespace {}", self.name, self.namespace)
    }
}
