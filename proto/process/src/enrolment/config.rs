//! The `enrolment` of a configuration.

use std::path::PathBuf;

use serde::Deserialize;

/// Where the signer is, and how the program and the signer know each other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// `https://host:port`
    pub signer: String,
    /// The trusted CAs, PEM: the signer's bundle, mounted. It may come later than the program.
    pub ca: PathBuf,
    /// The ServiceAccount's token for the signer, which the kubelet renews.
    pub token_file: PathBuf,
}
