//! The keys `hostKeys` and `hostKeysSecret` of the configuration: where the host keys are.

use std::path::PathBuf;

use podgate_identity::kubernetes::Reference;
use podgate_process::config::Invalid;

/// Where the host keys are.
#[derive(Clone, Debug)]
pub enum HostKeys {
    /// In files of this frontdoor.
    Files(Vec<PathBuf>),
    /// In a Secret that frontdoors share.
    Secret(Reference),
}

impl HostKeys {
    /// Takes the one that the configuration has. Both or neither is an error, which names the key.
    pub(super) fn of(files: Vec<PathBuf>, secret: Option<Reference>) -> Result<Self, Invalid> {
        match (files.is_empty(), secret) {
            (false, None) => Ok(Self::Files(files)),
            (true, Some(secret)) => Ok(Self::Secret(secret)),
            (true, None) => Err(Invalid::new("hostKeys", "lists no file")),
            (false, Some(_)) => Err(Invalid::new(
                "hostKeysSecret",
                "cannot be used together with hostKeys",
            )),
        }
    }
}
