//! How the parts prove themselves to each other: TLS 1.3 both ways, one CA, and a DNS name in each
//! certificate. A certificate of the CA without the right name is worth nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde::Deserialize;
use webpki::EndEntityCert;

use crate::reload::Reloaded;

/// The name in every frontdoor's certificate.
pub const FRONTDOOR_NAME: &str = "frontdoor.podgate";

/// The protocol inside: HTTP/2 alone.
const ALPN: &[u8] = b"h2";

/// Where the certificate, its key and the trusted CAs lie, all PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// This part's certificate chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The CAs that peers' certificates may come from; several while one replaces another.
    pub ca: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} holds no usable PEM: {reason}")]
    Pem { path: PathBuf, reason: String },
    #[error("certificate, key and CA do not make a TLS identity: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the trusted CAs cannot verify anyone: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    #[error("{0:?} is not a node's name")]
    NodeName(String),
    #[error("the peer showed no certificate")]
    NoCertificate,
    #[error("the peer's certificate cannot be read: {0}")]
    Certificate(webpki::Error),
    #[error("the peer's certificate is not for {0}")]
    WrongPeer(String),
}

/// The name in the certificate of the agent on `node`.
pub fn agent_name(node: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(format!("{node}.agent.podgate"))
        .map_err(|_| Error::NodeName(node.to_owned()))
}

/// Whether the certificate a TLS peer showed (and the handshake has verified by CA) is for `name`,
/// letter by letter: a wildcard is nobody's name.
pub fn check_peer(chain: Option<&[CertificateDer<'_>]>, name: &str) -> Result<(), Error> {
    let leaf = chain.and_then(<[_]>::first).ok_or(Error::NoCertificate)?;
    let leaf = EndEntityCert::try_from(leaf).map_err(Error::Certificate)?;
    if leaf.valid_dns_names().any(|found| found == name) {
        Ok(())
    } else {
        Err(Error::WrongPeer(name.to_owned()))
    }
}

/// One part's TLS identity. It follows its files: a renewed certificate serves the next
/// connection, and connections that stand are not touched.
#[derive(Debug)]
pub struct Identity(Reloaded<Configs, Error>);

#[derive(Debug)]
struct Configs {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Identity {
    /// Reads the files for the first time.
    pub fn load(files: Files) -> Result<Self, Error> {
        let paths = vec![files.cert.clone(), files.key.clone(), files.ca.clone()];
        Reloaded::load(paths, move || Configs::read(&files)).map(Self)
    }

    /// For accepting connections: peers must show a certificate of the CA. Their name is the
    /// caller's to check, by [`check_peer`].
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.current().server)
    }

    /// For dialling: the peer's name is checked in the handshake, this part's certificate is shown.
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0.current().client)
    }
}

impl Configs {
    fn read(files: &Files) -> Result<Self, Error> {
        let chain = certificates(&files.cert)?;
        let key = private_key(&files.key)?;
        let roots = Arc::new(roots(&files.ca)?);
        let versions = &[&rustls::version::TLS13];

        let verifier = WebPkiClientVerifier::builder(Arc::clone(&roots)).build()?;
        let mut server = ServerConfig::builder_with_protocol_versions(versions)
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())?;
        server.alpn_protocols = vec![ALPN.to_vec()];

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

/// The CAs of a PEM file, at least one.
pub fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for ca in certificates(path)? {
        roots.add(ca)?;
    }
    Ok(roots)
}

/// The certificates of a PEM file, at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Error::Pem {
            path: path.to_owned(),
            reason: e.to_string(),
        })?;
    if found.is_empty() {
        return Err(Error::Pem {
            path: path.to_owned(),
            reason: "no certificate in it".into(),
        });
    }
    Ok(found)
}

/// The first private key of a PEM file.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|e| Error::Pem {
        path: path.to_owned(),
        reason: e.to_string(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}
