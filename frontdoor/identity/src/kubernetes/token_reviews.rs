//! Asks the API server whose a bearer token is (TokenReview). The number of reviews at a time is
//! bounded. Only tokens for an audience of Podgate's own are accepted: one for the API server would be
//! worth more to a thief than a certificate.

use std::time::{SystemTime, UNIX_EPOCH};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::Semaphore;

use super::answer::{Unanswered, within};
use super::client::ANSWER_TIMEOUT;
use super::token_claims::{self, Claims};

/// Bytes of a token, at most. A ServiceAccount's has about 1 KiB.
const MAX_TOKEN: usize = 16 * 1024;

/// Seconds that clocks may differ by.
const CLOCKS: u64 = 60;

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("the token is empty or too long")]
    Length,
    #[error(transparent)]
    Token(#[from] token_claims::Error),
    #[error("the token has expired")]
    Expired,
    #[error("the token must be for the audience {0:?} and no other")]
    Audience(String),
    // The API server's words are for the log; they may hold parts of the token's content.
    #[error("the token is not valid for audience {audience}: {reason}")]
    Refused { audience: String, reason: String },
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// A client of the API server, and a bound on its reviews.
pub struct TokenReviews {
    client: Client,
    places: Semaphore,
}

/// Checks a token by its own claims: whether the API server need be asked about it at all.
pub fn check(token: &str, audience: &str) -> Result<(), Error> {
    if token.is_empty() || token.len() > MAX_TOKEN {
        return Err(Error::Length);
    }
    // A review says that our audience is one of the token's, but not that it is the only one. The
    // token's own claims say that, and they hold if the API server then accepts it.
    let claims = Claims::read(token)?;
    if !claims.aud.is_only(audience) {
        return Err(Error::Audience(audience.to_owned()));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    // The API server's clock may be behind.
    if claims
        .expires()
        .is_some_and(|expires| expires.saturating_add(CLOCKS) < now)
    {
        return Err(Error::Expired);
    }
    Ok(())
}

impl TokenReviews {
    /// Makes at most `reviews` reviews at a time; others wait.
    pub fn new(client: Client, reviews: usize) -> Self {
        let places = Semaphore::new(reviews);
        Self { client, places }
    }

    /// The user of a token that is for `audience` and no other. It waits for its turn; the caller
    /// bounds the wait.
    pub async fn review(&self, token: &str, audience: &str) -> Result<UserInfo, Error> {
        check(token, audience)?;
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                audiences: Some(vec![audience.to_owned()]),
            },
            ..TokenReview::default()
        };
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        let api = Api::<TokenReview>::all(self.client.clone());
        let post = PostParams::default();
        let answer = within(ANSWER_TIMEOUT, || api.create(&post, &review)).await?;
        let status = answer.status.unwrap_or_default();
        let refused = |reason: &str| Error::Refused {
            audience: audience.to_owned(),
            reason: reason.to_owned(),
        };
        if status.authenticated != Some(true) {
            let reason = status.error.unwrap_or_default();
            return Err(refused(if reason.is_empty() {
                "unknown"
            } else {
                &reason
            }));
        }
        // An authenticator that does not know audiences leaves this empty. The token is then for the
        // API server (k8s.io/api authentication/v1, TokenReviewStatus.audiences).
        let audiences = status.audiences.unwrap_or_default();
        if !audiences.iter().any(|found| found == audience) {
            return Err(refused("it is for the API server"));
        }
        status.user.ok_or_else(|| refused("it is nobody's"))
    }
}
