//! The key `ca` of a configuration's section: where a CA's key is.

use std::path::PathBuf;

use podgate_identity::kubernetes::Reference;
use podgate_process::config::Invalid;
use serde::Deserialize;

/// Where a key is that signs SSH certificates.
#[derive(Clone, Debug)]
pub(crate) enum Ca {
    /// In a Secret, filled once.
    Secret(Reference),
    /// In a file, which may be replaced.
    File(PathBuf),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    secret: Option<Reference>,
    file: Option<PathBuf>,
}

impl File {
    /// Checks that it has one of both. `key` is its place in the configuration.
    pub(crate) fn check(self, key: &'static str) -> Result<Ca, Invalid> {
        match (self.secret, self.file) {
            (Some(secret), None) => Ok(Ca::Secret(secret)),
            (None, Some(file)) => Ok(Ca::File(file)),
            _ => Err(Invalid::new(key, "needs one of secret and file")),
        }
    }
}
