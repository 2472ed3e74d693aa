//! One part's TLS identity: its own certificate, from files or from the signer, and the CAs it trusts.
//! What is renewed serves the next connection, and connections that stand are not touched.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::sync::watch;

use super::{ALPN, Error, Files, pem};
use crate::reload::Reloaded;

/// A part's TLS identity.
#[derive(Debug)]
pub struct Identity(Source);

#[derive(Debug)]
enum Source {
    Files(Reloaded<Configs, Error>),
    Enrolled(Enrolled),
}

#[derive(Debug)]
struct Enrolled {
    held: watch::Receiver<Option<Arc<Held>>>,
    trusted: Trusted,
    last: Mutex<Option<Last>>,
}

/// What was made of a certificate and the trusted CAs.
#[derive(Debug)]
struct Last {
    held: Arc<Held>,
    roots: Arc<RootCertStore>,
    configs: Arc<Configs>,
}

/// A certificate that the signer gave, and its key, which is nowhere else.
pub struct Held {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// The key that was made for it.
    pub key: PrivateKeyDer<'static>,
    /// The CA's certificate that it is by.
    pub issuer: CertificateDer<'static>,
    /// Until when it is good.
    pub expires: Instant,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held")
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

    /// Shows what is held, once it is; trusts the CAs in the file `ca`.
    pub(crate) fn enrolled(ca: PathBuf, held: watch::Receiver<Option<Arc<Held>>>) -> Self {
        Self(Source::Enrolled(Enrolled {
            held,
            trusted: Trusted::new(ca),
            last: Mutex::default(),
        }))
    }

    /// For accepting connections: peers must show a certificate of a trusted CA. Their name is the
    /// caller's to check, by [`check_peer`](super::check_peer).
    pub fn server(&self) -> Result<Arc<ServerConfig>, Error> {
        self.current().map(|configs| Arc::clone(&configs.server))
    }

    /// For dialling: the peer's name is checked in the handshake, this part's certificate is shown.
    /// It is the same one until certificate or CAs change.
    pub fn client(&self) -> Result<Arc<ClientConfig>, Error> {
        self.current().map(|configs| Arc::clone(&configs.client))
    }

    fn current(&self) -> Result<Arc<Configs>, Error> {
        match &self.0 {
            Source::Files(files) => Ok(files.current()),
            Source::Enrolled(enrolled) => enrolled.current(),
        }
    }
}

impl Enrolled {
    fn current(&self) -> Result<Arc<Configs>, Error> {
        let held = self.held.borrow().clone().ok_or(Error::NotEnrolled)?;
        if held.expires <= Instant::now() {
            return Err(Error::Expired);
        }
        let roots = self.trusted.roots()?;
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

    /// The CAs as the file has them now, at least one.
    pub(crate) fn roots(&self) -> Result<Arc<RootCertStore>, Error> {
        if let Some(read) = self.read.get() {
            return Ok(read.current());
        }
        let path = self.path.clone();
        let loaded = Reloaded::load(vec![path.clone()], move || pem::roots(&path))?;
        Ok(self.read.get_or_init(|| loaded).current())
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
        // A resumed session would look at neither expiry nor CA of the peer's certificate again.
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
