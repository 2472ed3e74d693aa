//! The reasons of refused logins, as the log tells them.

use super::{certificates, keys};

/// Why a credential does not let someone in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Refusal {
    #[error("the key: {0}")]
    Key(#[from] keys::Refusal),
    #[error("the certificate: {0}")]
    Certificate(#[from] certificates::Refusal),
    #[error("it is revoked")]
    Revoked,
    #[error("it was shown already, and the other is wanted")]
    Again,
    #[error("it is {0}'s, and what came before another's")]
    Other(String),
    #[error("it forces another command than what came before")]
    Command,
    #[error("a login by it alone is not configured")]
    Method,
}
