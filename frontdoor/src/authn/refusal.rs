//! Why a login is refused, as the log tells it.

use super::{certificates, keys, presence};

/// Why a credential does not let someone in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Refusal {
    #[error("the key: {0}")]
    Key(#[from] keys::KeyRefusal),
    #[error("the certificate: {0}")]
    Certificate(#[from] certificates::CertificateRefusal),
    #[error(transparent)]
    Presence(#[from] presence::NotPresent),
    #[error("it is revoked")]
    Revoked,
    #[error("the revocation list cannot be read, so nobody may log in (authn.revokedOnFailure)")]
    NoList,
    #[error("it was used already; the other of key and certificate is required")]
    Again,
    #[error("it belongs to {0}, but the first credential belongs to another user")]
    Other(String),
    #[error("it forces a different command than the first credential")]
    Command,
    #[error("it is not enough by itself (authn.methods)")]
    Method,
}
