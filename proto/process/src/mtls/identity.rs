//! The TLS identity of a program: its own certificate, from files or from the signer, and the CAs that
//! it trusts. A renewed certificate serves the next connection; open connections keep theirs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde::Deserialize;
use tokio::sync::watch;

use super::error::Error;
use super::pem;
use crate::reload::Reloaded;

/// The protocol inside TLS: HTTP/2 alone.
pub(crate) const ALPN: &[u8] = b"h2";

/// The PEM files of the certificate, its key and the trusted CAs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// The program's certificate chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The CAs that peers' certificates may come from; several while one replaces another.
    pub ca: PathBuf,
}

/// A program's TLS identity.
#[derive(Debug)]
pub struct Identity(Source);

#[derive(Debug)]
enum Source {
    Files(Reloaded<Configs, Error>),
    Enrolled(Enrolled),
}

#[derive(Debug)]
struct Enrolled {
    held: watch::Receiver<Option<Arc<IssuedCertificate>>>,
    trusted: Arc<Trusted>,
    last: Mutex<Option<Last>>,
}

/// The last configurations, and what they were made of.
#[derive(Debug)]
struct Last {
    held: Arc<IssuedCertificate>,
    roots: Arc<RootCertStore>,
    configs: Arc<Configs>,
}

/// A certificate from the signer, and its key, which is nowhere else.
pub struct IssuedCertificate {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// The certificate of the CA that issued it.
    pub issuer: CertificateDer<'static>,
    /// When it expires.
    pub expires: Instant,
}

impl std::fmt::Debug for IssuedCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedCertificate")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Configs {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Identity {
    /// Reads the files for the first time.
    pub fn load(files: Files) -> Result<Self, Error> {
        let paths = vec![files.cert.clone(), files.key.clone(), files.ca.clone()];
        let read = move || {
            let chain = pem::certificates(&files.cert)?;
            let key = pem::private_key(&files.key)?;
            Configs::make(chain, key, Arc::new(pem::roots(&files.ca)?))
        };
        Ok(Self(Source::Files(Reloaded::load(paths, read)?)))
    }

    /// Shows the certificate in `held`, once there is one.
    pub(crate) fn enrolled(
        trusted: Arc<Trusted>,
        held: watch::Receiver<Option<Arc<IssuedCertificate>>>,
    ) -> Self {
        Self(Source::Enrolled(Enrolled {
            held,
            trusted,
            last: Mutex::default(),
        }))
    }

    /// For accepting connections: peers must show a certificate of a trusted CA. The caller checks
    /// their name, by [`check_peer`](super::check_peer).
    pub async fn server(&self) -> Result<Arc<ServerConfig>, Error> {
        self.current()
            .await
            .map(|configs| Arc::clone(&configs.server))
    }

    /// For dialling: the handshake checks the peer's name and shows this program's certificate. The
    /// value stays the same until the certificate or the CAs change.
    pub async fn client(&self) -> Result<Arc<ClientConfig>, Error> {
        self.current()
            .await
            .map(|configs| Arc::clone(&configs.client))
    }

    async fn current(&self) -> Result<Arc<Configs>, Error> {
        match &self.0 {
            Source::Files(files) => Ok(files.current().await),
            Source::Enrolled(enrolled) => enrolled.current().await,
        }
    }
}

impl Enrolled {
    async fn current(&self) -> Result<Arc<Configs>, Error> {
        let held = self.held.borrow().clone().ok_or(Error::NotEnrolled)?;
        if held.expires <= Instant::now() {
            return Err(Error::Expired);
        }
        let roots = self.trusted.roots().await?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && Arc::ptr_eq(&last.held, &held)
            && Arc::ptr_eq(&last.roots, &roots)
        {
            return Ok(Arc::clone(&last.configs));
        }
        let chain = vec![held.certificate.clone()];
        let configs = Configs::make(chain, held.key.clone_key(), Arc::clone(&roots))?;
        let configs = Arc::new(configs);
        *last = Some(Last {
            held,
            roots,
            configs: Arc::clone(&configs),
        });
        Ok(configs)
    }
}

/// The CAs of a file that may not be there yet.
#[derive(Debug)]
pub(crate) struct Trusted {
    path: PathBuf,
    read: OnceLock<Reloaded<RootCertStore, Error>>,
}

impl Trusted {
    pub(crate) fn new(path: PathBuf) -> Self {
        let read = OnceLock::new();
        Self { path, read }
    }

    /// The CAs as the file has them now, at least one. The first read blocks. It happens when the
    /// program enrols, before it has a certificate to show.
    pub(crate) async fn roots(&self) -> Result<Arc<RootCertStore>, Error> {
        if let Some(read) = self.read.get() {
            return Ok(read.current().await);
        }
        let path = self.path.clone();
        let loaded = Reloaded::load(vec![path.clone()], move || pem::roots(&path))?;
        Ok(self.read.get_or_init(|| loaded).last())
    }
}

impl Configs {
    fn make(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        roots: Arc<RootCertStore>,
    ) -> Result<Self, Error> {
        let versions = &[&rustls::version::TLS13];

        let verifier = WebPkiClientVerifier::builder(Arc::clone(&roots)).build()?;
        let mut server = ServerConfig::builder_with_protocol_versions(versions)
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())?;
        server.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session would check neither expiry nor CA of the peer's certificate again.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;

        let mut client = ClientConfig::builder_with_protocol_versions(versions)
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        client.alpn_protocols = vec![ALPN.to_vec()];

        Ok(Self {
            server: Arc::new(server),
            client: Arc::new(client),
        })
    }
}
