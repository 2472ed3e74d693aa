//! The API server as all parts know it: a client that is made alike for all who ask it, and the
//! objects that a part keeps there.

mod client;

use serde::Deserialize;

pub use client::Error;
pub(crate) use client::{ANSWER_TIMEOUT, backoff, connect};

/// One object of a kind that is known.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "Kubernetes' own words")]
pub struct Reference {
    pub namespace: String,
    pub name: String,
}
