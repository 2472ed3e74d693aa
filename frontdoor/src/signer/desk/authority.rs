//! The key that signs users' certificates: in a file that somebody keeps, or in a Secret that the
//! signer fills once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use podgate_proto::reload::Reloaded;
use russh::keys::{Algorithm, PrivateKey};

use super::config::Ca;
use crate::kubernetes::Reference;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{place} holds no OpenSSH private key: {reason}")]
    Key { place: String, reason: String },
    #[error("a Secret is not read yet")]
    Secret,
}

/// The key as it is now.
pub(super) enum Authority {
    File(Reloaded<PrivateKey, Error>),
}

impl Authority {
    pub(super) async fn load(
        ca: Ca,
        _client: &kube::Client,
        _bundle: &Reference,
    ) -> Result<Self, Error> {
        match ca {
            Ca::File(path) => {
                let read = path.clone();
                Reloaded::load(vec![path], move || of_file(&read)).map(Self::File)
            }
            Ca::Secret(_) => Err(Error::Secret),
        }
    }

    pub(super) fn current(&self) -> Arc<PrivateKey> {
        match self {
            Self::File(key) => key.current(),
        }
    }
}

fn of_file(path: &Path) -> Result<PrivateKey, Error> {
    let text = std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&text, &path.display().to_string())
}

fn parse(text: &[u8], place: &str) -> Result<PrivateKey, Error> {
    let wrong = |reason: String| Error::Key {
        place: place.to_owned(),
        reason,
    };
    let key = PrivateKey::from_openssh(text).map_err(|error| wrong(error.to_string()))?;
    if key.is_encrypted() {
        return Err(wrong("it has a passphrase".to_owned()));
    }
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => Ok(key),
        _ => Err(wrong("it is neither ed25519 nor ecdsa".to_owned())),
    }
}
