//! How the parts prove themselves to each other: TLS 1.3 both ways, one CA, and a DNS name in each
//! certificate. A certificate of the CA without the right name is worth nothing.

mod identity;
mod pem;

use std::path::PathBuf;

use rustls::pki_types::{CertificateDer, ServerName};
use serde::Deserialize;
use webpki::EndEntityCert;

pub(crate) use identity::Trusted;
pub use identity::{Held, Identity};
pub use pem::{certificates, private_key, roots};

/// The name in every frontdoor's certificate.
pub const FRONTDOOR_NAME: &str = "frontdoor.podgate";

/// The name in the signer's certificate.
pub const SIGNER_NAME: &str = "signer.podgate";

/// The protocol inside: HTTP/2 alone.
pub(crate) const ALPN: &[u8] = b"h2";

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
    #[error("this part is not enrolled yet")]
    NotEnrolled,
    #[error("this part's certificate has expired, and the signer has given no other")]
    Expired,
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
