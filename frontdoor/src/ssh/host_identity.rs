//! How this frontdoor proves who it is: russh's settings with the host keys, and with those of their
//! certificates that are valid now. A certificate's file may be replaced at any time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use podgate_process::reload::Reloaded;
use russh::keys::{Certificate, PrivateKey};
use russh::server::Config;

use super::settings::settings;
use crate::config::Limits;

/// Why a host certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} is not an OpenSSH certificate: {source}")]
    Certificate {
        path: PathBuf,
        source: russh::keys::ssh_key::Error,
    },
    #[error("{0} is a user's certificate; ssh-keygen -h makes a host's")]
    User(PathBuf),
    #[error("{0} is for none of the host keys")]
    NoKey(PathBuf),
}

/// The host keys and their certificates.
#[derive(Debug)]
pub(crate) struct HostIdentity {
    /// The settings with keys alone.
    bare: Arc<Config>,
    /// Whether the log already says that a certificate has expired.
    told: AtomicBool,
    certified: Option<Reloaded<Certified, Error>>,
}

/// Settings with certificates.
#[derive(Debug)]
struct Certified {
    settings: Arc<Config>,
    /// When the first of them expires, in seconds since 1970.
    until: u64,
}

impl HostIdentity {
    /// Reads the certificates for the first time.
    pub(crate) fn load(
        keys: Vec<PrivateKey>,
        files: Vec<PathBuf>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let bare = Arc::new(settings(keys.clone(), vec![], limits));
        let certified = (!files.is_empty()).then(|| {
            let (paths, limits) = (files.clone(), limits.clone());
            Reloaded::load(files, move || {
                let certificates = paths.iter().map(|path| read(path, &keys));
                let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
                let until = certificates.iter().map(Certificate::valid_before).min();
                Ok(Certified {
                    until: until.unwrap_or(0),
                    settings: Arc::new(settings(keys.clone(), certificates, &limits)),
                })
            })
        });
        Ok(Self {
            bare,
            told: AtomicBool::new(false),
            certified: certified.transpose()?,
        })
    }

    /// The settings for a connection that begins now. A client that trusts the CA would refuse an expired
    /// certificate, but may know the key.
    pub(crate) async fn settings(&self) -> Arc<Config> {
        let Some(certified) = &self.certified else {
            return Arc::clone(&self.bare);
        };
        let certified = certified.current().await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let expired = now >= certified.until;
        if self.told.swap(expired, Ordering::Relaxed) != expired && expired {
            tracing::error!("a host certificate has expired; clients see the host keys alone");
        }
        match expired {
            false => Arc::clone(&certified.settings),
            true => Arc::clone(&self.bare),
        }
    }
}

fn read(path: &Path, keys: &[PrivateKey]) -> Result<Certificate, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let certificate =
        Certificate::from_openssh(text.trim()).map_err(|source| Error::Certificate {
            path: path.to_owned(),
            source,
        })?;
    if !certificate.cert_type().is_host() {
        return Err(Error::User(path.to_owned()));
    }
    let is_for = |key: &PrivateKey| key.public_key().key_data() == certificate.public_key();
    if !keys.iter().any(is_for) {
        return Err(Error::NoKey(path.to_owned()));
    }
    let (names, until) = (certificate.valid_principals(), certificate.valid_before());
    tracing::info!(path = %path.display(), ?names, until, "host certificate");
    Ok(certificate)
}
