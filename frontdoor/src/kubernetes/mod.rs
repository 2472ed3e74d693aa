//! The API server as all parts know it: a client that is made alike for all who ask it, and the
//! objects that a part keeps there.

mod answer;
mod client;
mod kept;

use serde::Deserialize;

/// Of the API server.
pub(crate) use kube::Client;

pub use answer::Unanswered;
pub(crate) use answer::{SHORT_TIMEOUT, within};
pub use client::Error;
pub(crate) use client::{ANSWER_TIMEOUT, backoff, connect, own_token};
pub use kept::Error as Kept;
pub(crate) use kept::{change, fill_secret, patiently};

/// One object of a kind that is known.
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
