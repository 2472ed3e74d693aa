//! The API server: a client made the same way for everyone, limits on how long its answers are waited
//! for, and objects that a part keeps there.

mod answer;
mod client;
mod object;

use serde::Deserialize;

pub use kube::Client;

pub use answer::{SHORT_TIMEOUT, Unanswered, within};
pub use client::{ANSWER_TIMEOUT, Error, backoff, connect, own_token};
pub use object::{Error as ObjectError, change, fill_secret, patiently};

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
