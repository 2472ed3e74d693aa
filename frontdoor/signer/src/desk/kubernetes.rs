//! Tokens that the API server knows: those of ServiceAccounts, and whatever else its authenticators
//! take. Only such are taken as are meant for the desk alone: with one that the API server takes, too,
//! whoever has the desk could be anybody who came to it.

use podgate_identity::kubernetes::Client;
use podgate_identity::{Identity, NameError, Names, Source};

use crate::token::Claims;
use crate::tokens::{self, Tokens};

/// The desk's TokenReviews at a time.
const REVIEWS: usize = 32;

/// Why nobody is known by a token.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(super) enum Error {
    #[error(transparent)]
    Token(tokens::Error),
    #[error("a token that never expires is not accepted")]
    Forever,
    #[error("the API server does not accept the token")]
    Refused(#[source] tokens::Error),
    #[error("the API server cannot be asked whose token this is; try again in a moment")]
    Away(#[source] tokens::Error),
    #[error("{0}")]
    Names(#[from] NameError),
}

/// Asks the API server who tokens are of.
pub(super) struct Kubernetes {
    tokens: Tokens,
    audience: String,
}

impl Kubernetes {
    pub(super) fn new(client: Client, audience: String) -> Self {
        let tokens = Tokens::new(client, REVIEWS);
        Self { tokens, audience }
    }

    /// Until when a token is good, in seconds since 1970; one that is good for ever is none.
    pub(super) fn expires(&self, claims: &Claims) -> Result<u64, Error> {
        claims.expires().ok_or(Error::Forever)
    }

    /// Who the token is of.
    pub(super) async fn identify(&self, token: &str) -> Result<Identity, Error> {
        let reviewed = self.tokens.review(token, &self.audience).await;
        let user = reviewed.map_err(|error| match error {
            tokens::Error::Unanswered(_) => Error::Away(error),
            tokens::Error::Token(_) | tokens::Error::Audience(_) => Error::Token(error),
            tokens::Error::Length | tokens::Error::Refused { .. } => Error::Refused(error),
        })?;
        // The API server's own names are what this source is for.
        let names = Names {
            trust_system: true,
            ..Names::default()
        };
        Ok(names.identity(
            &user.username.unwrap_or_default(),
            &user.groups.unwrap_or_default(),
            user.extra.unwrap_or_default(),
            Source::Kubernetes,
        )?)
    }
}
