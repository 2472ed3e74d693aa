//! What can be wrong with a certificate, a key or a peer.

use std::path::PathBuf;

/// Why TLS cannot be used, or a peer is not trusted.
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
    #[error("certificate, key and CA cannot be used as a TLS identity: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the trusted CAs cannot verify anyone: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    #[error("{0:?} is not a node's name")]
    NodeName(String),
    #[error("this part is not enrolled yet")]
    NotEnrolled,
    #[error("this part's certificate has expired, and the signer has not issued another")]
    Expired,
    #[error("the peer showed no certificate")]
    NoCertificate,
    #[error("the peer's certificate cannot be read: {0}")]
    Certificate(webpki::Error),
    #[error("the peer's certificate is not for {0}")]
    WrongPeer(String),
}
