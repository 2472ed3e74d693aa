//! Tokens that the API server accepts: of ServiceAccounts, and of its other authenticators. Only tokens
//! for the desk alone are accepted. If the desk took tokens for the API server, a thief of the desk
//! could act as everybody who came to it.

use podgate_identity::kubernetes::Client;
use podgate_identity::{Identity, NameError, Names, Source};

use crate::token_claims::Claims;
use crate::token_reviews::{self, TokenReviews};

/// The desk's TokenReviews at a time.
const REVIEWS: usize = 32;

/// Why a token names nobody.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(super) enum Error {
    #[error(transparent)]
    Token(token_reviews::Error),
    #[error("a token that never expires is not accepted")]
    Forever,
    #[error("the API server does not accept the token")]
    Refused(#[source] token_reviews::Error),
    #[error("the API server cannot be asked whose token this is; try again in a moment")]
    Away(#[source] token_reviews::Error),
    #[error("{0}")]
    Names(#[from] NameError),
}

/// Asks the API server whose a token is.
pub(super) struct Kubernetes {
    tokens: TokenReviews,
    audience: String,
}

impl Kubernetes {
    pub(super) fn new(client: Client, audience: String) -> Self {
        let tokens = TokenReviews::new(client, REVIEWS);
        Self { tokens, audience }
    }

    /// Checks a token by its own claims. Returns when it expires, in seconds since 1970. A token that
    /// never expires is refused.
    pub(super) fn check(&self, token: &str, claims: &Claims) -> Result<u64, Error> {
        token_reviews::check(token, &self.audience).map_err(refused)?;
        claims.expires().ok_or(Error::Forever)
    }

    /// Asks whose this token is.
    pub(super) async fn identify(&self, token: &str) -> Result<Identity, Error> {
        let reviewed = self.tokens.review(token, &self.audience).await;
        let user = reviewed.map_err(refused)?;
        // This source may give the `system:` names: they are the API server's own.
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

fn refused(error: token_reviews::Error) -> Error {
    match error {
        token_reviews::Error::Unanswered(_) => Error::Away(error),
        token_reviews::Error::Token(_)
        | token_reviews::Error::Audience(_)
        | token_reviews::Error::Expired => Error::Token(error),
        token_reviews::Error::Length | token_reviews::Error::Refused { .. } => {
            Error::Refused(error)
        }
    }
}
