//! How this frontdoor proves who it is: russh's settings with the host keys, and with their certificates
//! while these are valid. Certificates are in files that may be replaced at any time, or come from the
//! signer.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use podgate_process::enrolment::HostCertificates;
use podgate_process::reload::Reloaded;
use russh::keys::{Certificate, PrivateKey};
use russh::server::Config;
use tokio::sync::watch;

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
    certificates: Certificates,
}

/// Where the certificates come from.
#[derive(Debug)]
enum Certificates {
    Files(Reloaded<Certified, Error>),
    Signer(Box<Issued>),
}

/// Settings with certificates.
#[derive(Debug)]
struct Certified {
    settings: Arc<Config>,
    /// When the first of them expires, in seconds since 1970.
    until: u64,
}

/// Certificates from the signer.
#[derive(Debug)]
struct Issued {
    keys: Vec<PrivateKey>,
    limits: Limits,
    latest: watch::Receiver<HostCertificates>,
    /// The last settings, and what they were made of. There are none without certificates.
    made: Mutex<(HostCertificates, Option<Arc<Certified>>)>,
}

impl HostIdentity {
    /// With certificates from files, which are read for the first time.
    pub(crate) fn load(
        keys: Vec<PrivateKey>,
        files: Vec<PathBuf>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let bare = settings(keys.clone(), vec![], limits);
        let (paths, limits) = (files.clone(), limits.clone());
        let certified = Reloaded::load(files, move || {
            let certificates = paths.iter().map(|path| read(path, &keys));
            let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
            Ok(Certified::new(keys.clone(), certificates, &limits))
        });
        Ok(Self::new(bare, Certificates::Files(certified?)))
    }

    /// With certificates from the signer, if it gives any.
    pub(crate) fn certified(
        keys: Vec<PrivateKey>,
        latest: watch::Receiver<HostCertificates>,
        limits: &Limits,
    ) -> Self {
        let bare = settings(keys.clone(), vec![], limits);
        let issued = Issued {
            keys,
            limits: limits.clone(),
            latest,
            made: Mutex::new((HostCertificates::from([]), None)),
        };
        Self::new(bare, Certificates::Signer(Box::new(issued)))
    }

    fn new(bare: Config, certificates: Certificates) -> Self {
        Self {
            bare: Arc::new(bare),
            told: AtomicBool::new(false),
            certificates,
        }
    }

    /// The settings for a connection that begins now. A client that trusts the CA would refuse an expired
    /// certificate, but may know the key.
    pub(crate) async fn settings(&self) -> Arc<Config> {
        let certified = match &self.certificates {
            Certificates::Files(files) => Some(files.current().await),
            Certificates::Signer(issued) => issued.current(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let is_over = |certified: &Arc<Certified>| now >= certified.until;
        let expired = certified.as_ref().is_some_and(is_over);
        if !self.told.swap(expired, Ordering::Relaxed) && expired {
            tracing::error!("a host certificate has expired; clients see the host keys alone");
        }
        match certified.filter(|_| !expired) {
            Some(certified) => Arc::clone(&certified.settings),
            None => Arc::clone(&self.bare),
        }
    }

    /// When the first certificate expires, in seconds since 1970. `None` if there is none.
    pub(crate) fn expires(&self) -> Option<u64> {
        let certified = match &self.certificates {
            Certificates::Files(files) => Some(files.last()),
            Certificates::Signer(issued) => issued.current(),
        };
        certified.map(|certified| certified.until)
    }
}

impl Certified {
    fn new(keys: Vec<PrivateKey>, certificates: Vec<Certificate>, limits: &Limits) -> Self {
        let until = certificates.iter().map(Certificate::valid_before).min();
        Self {
            until: until.unwrap_or(0),
            settings: Arc::new(settings(keys, certificates, limits)),
        }
    }
}

impl Issued {
    /// The settings with the certificates that the signer gave last.
    fn current(&self) -> Option<Arc<Certified>> {
        let latest = Arc::clone(&self.latest.borrow());
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&made.0, &latest) {
            let certificates: Vec<_> = latest.iter().filter_map(|of| self.read(of)).collect();
            let certified = (!certificates.is_empty()).then(|| {
                let keys = self.keys.clone();
                Arc::new(Certified::new(keys, certificates, &self.limits))
            });
            *made = (latest, certified);
        }
        made.1.clone()
    }

    fn read(&self, bytes: &[u8]) -> Option<Certificate> {
        let certificate = Certificate::from_bytes(bytes).ok();
        let fits = |certificate: &Certificate| {
            certificate.cert_type().is_host() && is_for_one_of(certificate, &self.keys)
        };
        let certificate = certificate.filter(fits);
        match &certificate {
            Some(certificate) => {
                let (names, until) = (certificate.valid_principals(), certificate.valid_before());
                tracing::info!(?names, until, "host certificate from the signer");
            }
            None => tracing::error!("the signer gave no certificate of a host key"),
        }
        certificate
    }
}

fn is_for_one_of(certificate: &Certificate, keys: &[PrivateKey]) -> bool {
    let mut keys = keys.iter().map(|key| key.public_key().key_data());
    keys.any(|key| key == certificate.public_key())
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
    if !is_for_one_of(&certificate, keys) {
        return Err(Error::NoKey(path.to_owned()));
    }
    let (names, until) = (certificate.valid_principals(), certificate.valid_before());
    tracing::info!(path = %path.display(), ?names, until, "host certificate");
    Ok(certificate)
}
