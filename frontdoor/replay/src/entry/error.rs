//! Why somebody is not let in, in the words that they read.

use podgate_identity::kubernetes::token_users;
use podgate_identity::pass;

/// Why.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("this link is not good any more: it was used, or is older than ten minutes")]
    Gone,
    #[error("you are not signed in, or not any more")]
    SignedOut,
    #[error("this page takes no tokens")]
    NoTokens,
    #[error(transparent)]
    Token(#[from] token_users::Error),
    #[error("too many links or tokens like yours were tried; try again in a moment")]
    Rate,
    #[error("the store of recordings does not answer; try again in a moment")]
    Store(#[from] podgate_recording::Error),
    #[error("this page cannot sign anybody in now")]
    Seal(#[from] pass::Error),
    #[error("it took too long; try again in a moment")]
    Late,
}

impl Error {
    /// Its word in the metrics.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Gone | Self::SignedOut => "gone",
            Self::NoTokens => "refused",
            Self::Token(token_users::Error::Away(_)) => "unavailable",
            Self::Token(_) => "refused",
            Self::Rate => "limited",
            Self::Store(_) | Self::Seal(_) | Self::Late => "unavailable",
        }
    }
}
