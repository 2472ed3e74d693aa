//! The users of tokens that the API server accepts: of ServiceAccounts, and of its other authenticators.
//! Only tokens for the asking program alone are accepted. If it took tokens for the API server, its thief
//! could act as everybody who came to it.

use kube::Client;

use super::token_claims::Claims;
use super::token_reviews::{self, TokenReviews};
use crate::identity::{Identity, Source};
use crate::names::{Error as NameError, Names};

/// TokenReviews at a time.
const REVIEWS: usize = 32;

/// Why a token names nobody.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
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
pub struct TokenUsers {
    tokens: TokenReviews,
    audience: String,
}

impl TokenUsers {
    /// Takes tokens for this audience.
    pub fn new(client: Client, audience: String) -> Self {
        let tokens = TokenReviews::new(client, REVIEWS);
        Self { tokens, audience }
    }

    /// Checks a token by its own claims. Returns when it expires, in seconds since 1970. A token that
    /// never expires is refused.
    pub fn check(&self, token: &str, claims: &Claims) -> Result<u64, Error> {
        token_reviews::check(token, &self.audience).map_err(refused)?;
        claims.expires().ok_or(Error::Forever)
    }

    /// Asks whose this token is.
    pub async fn identify(&self, token: &str) -> Result<Identity, Error> {
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
