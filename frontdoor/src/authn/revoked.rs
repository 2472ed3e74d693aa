//! Revoked keys, and certificates revoked by serial number or key id. The file is a text or a binary
//! KRL.

mod krl;
mod list;

use std::path::{Path, PathBuf};

use podgate_process::reload::Reloaded;
use russh::keys::Certificate;
use russh::keys::ssh_key::public::KeyData;

use list::{LineError, List};

/// Why a revocation list cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: it is neither a text nor a KRL")]
    Binary { path: PathBuf },
    #[error("{path}: the KRL is invalid: {reason}")]
    Krl { path: PathBuf, reason: krl::Error },
    #[error("{path}: line {number}: {reason}")]
    Line {
        path: PathBuf,
        number: usize,
        reason: LineError,
    },
}

/// The revocation list, followed as its file changes.
#[derive(Debug)]
pub(crate) struct Revoked(Reloaded<List, Error>);

impl Revoked {
    /// Reads it for the first time.
    pub(crate) fn load(path: PathBuf) -> Result<Self, Error> {
        Reloaded::load(vec![path.clone()], move || read(&path)).map(Self)
    }

    pub(super) async fn refresh(&self) {
        self.0.refresh().await;
    }

    /// Whether the file cannot be read now, so that the list is an older one.
    pub(super) fn is_stale(&self) -> bool {
        self.0.is_stale()
    }

    /// Whether this key is revoked.
    pub(crate) fn key(&self, key: &KeyData) -> bool {
        self.0.last().key(key)
    }

    /// Whether this certificate is revoked: by its serial number, its key id, its key or its CA's key.
    pub(crate) fn certificate(&self, certificate: &Certificate) -> bool {
        self.0.last().certificate(certificate)
    }
}

fn read(path: &Path) -> Result<List, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let path = || path.to_owned();
    if krl::is_krl(&bytes) {
        return krl::parse(&bytes).map_err(|reason| Error::Krl {
            path: path(),
            reason,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::Binary { path: path() })?;
    List::parse(&text).map_err(|(number, reason)| Error::Line {
        path: path(),
        number,
        reason,
    })
}
