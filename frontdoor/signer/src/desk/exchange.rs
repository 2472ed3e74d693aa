//! Exchanges a bearer token and a public key for an SSH user certificate. Each exchange is counted and
//! logged with its user, or with the reason of its refusal; the token is never logged.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use podgate_identity::Source;
use podgate_identity::kubernetes::token_claims::{self, Claims};
use podgate_identity::kubernetes::token_users::{self, TokenUsers};
use ssh_key::HashAlg;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::issue::{self, Terms};
use super::oidc::{self, Issuer};
use super::rates::{Rates, Spent};
use crate::clock::now;
use crate::metrics::Metrics;
use crate::ssh_ca::Authority;

/// The limit for a whole exchange. Calls within it have shorter limits and errors of their own.
const WITHIN: Duration = Duration::from_secs(10);
/// Exchanges at a time. Even a wrong token can cost a call of the API server.
const UNDER_WAY: usize = 64;

/// Why there is no certificate, in the words that the client reads.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(super) enum Refusal {
    #[error("the Authorization header has no bearer token")]
    NoToken,
    #[error("the body is longer than a public key")]
    LongBody,
    #[error("the body is incomplete")]
    Body,
    #[error(transparent)]
    Token(#[from] token_claims::Error),
    #[error(transparent)]
    Kubernetes(#[from] token_users::Error),
    #[error(transparent)]
    Oidc(#[from] oidc::Error),
    #[error(transparent)]
    Issue(#[from] issue::Error),
    #[error("{0}")]
    Spent(Spent, Duration),
    #[error("too many requests at once; try again in a moment")]
    Busy,
    #[error("the desk has no CA yet; try again in a moment")]
    NoCa,
    #[error("it took too long; try again in a moment")]
    Timeout,
}

/// Everything that a certificate is made with.
pub(super) struct Exchange {
    pub(super) kubernetes: TokenUsers,
    pub(super) issuers: Vec<Issuer>,
    pub(super) authority: Authority,
    pub(super) terms: Terms,
    pub(super) rates: Mutex<Rates>,
    pub(super) under_way: Semaphore,
    pub(super) metrics: Arc<Metrics>,
}

impl Exchange {
    pub(super) fn under_way() -> Semaphore {
        Semaphore::new(UNDER_WAY)
    }

    /// Returns the certificate as a line for a `.pub` file.
    pub(super) async fn certificate(
        &self,
        token: Option<&str>,
        body: Result<&[u8], Refusal>,
        peer: SocketAddr,
    ) -> Result<String, Refusal> {
        // The token's own claims suffice for the label of a metric.
        let claims = token.map(Claims::read);
        let source = match &claims {
            Some(Ok(claims)) if self.issuer(claims).is_some() => Some(Source::Oidc),
            Some(Ok(_)) => Some(Source::Kubernetes),
            _ => None,
        };
        let exchange = async {
            let token = token.ok_or(Refusal::NoToken)?;
            let claims = claims.ok_or(Refusal::NoToken)??;
            self.exchange(token, &claims, body?, peer).await
        };
        let within = timeout(WITHIN, exchange).await;
        let done = within.unwrap_or(Err(Refusal::Timeout));
        let outcome = match &done {
            Ok(_) => "issued",
            Err(refusal) => {
                let cause = refusal.source().map(ToString::to_string);
                tracing::info!(%peer, reason = %refusal, cause, "no certificate");
                refusal.outcome()
            }
        };
        let source = source.map_or("none", Source::as_str);
        self.metrics.certificate(source, outcome);
        done
    }

    async fn exchange(
        &self,
        token: &str,
        claims: &Claims,
        body: &[u8],
        peer: SocketAddr,
    ) -> Result<String, Refusal> {
        // The key comes first: if it cannot be signed, nobody need be asked about the token.
        let key = issue::public_key(body)?;
        let authority = self.authority.current().await.ok_or(Refusal::NoCa)?;
        let now = now();
        let issuer = self.issuer(claims);
        // A token whose own claims say that it is not for the desk uses up nobody's rate.
        let expires = match issuer {
            Some(_) => None,
            None => Some(self.kubernetes.check(token, claims)?),
        };
        self.rate(|rates, now| rates.ask(peer.ip(), now))?;
        let _place = self.under_way.try_acquire().map_err(|_| Refusal::Busy)?;
        let (identity, expires) = match (issuer, expires) {
            (Some(issuer), _) => issuer.identify(token, now).await?,
            (None, expires) => {
                let identity = self.kubernetes.identify(token).await?;
                (identity, expires.unwrap_or_default())
            }
        };
        self.rate(|rates, now| rates.take(&identity.user, now))?;
        self.rates().give_back(peer.ip());
        let made = (now, expires);
        let certificate = issue::certificate(&authority, &key, &identity, &self.terms, made)?;
        let line = certificate.to_openssh().map_err(issue::Error::Make)?;
        tracing::info!(
            %peer,
            user = identity.user,
            groups = ?identity.groups,
            source = identity.source.as_str(),
            serial = certificate.serial(),
            key = %key.fingerprint(HashAlg::Sha256),
            after = certificate.valid_after(),
            before = certificate.valid_before(),
            "certificate issued"
        );
        Ok(format!("{line}\n"))
    }

    fn issuer(&self, claims: &Claims) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.is(claims))
    }

    fn rate(
        &self,
        take: impl FnOnce(&mut Rates, Instant) -> Result<(), Spent>,
    ) -> Result<(), Refusal> {
        let mut rates = self.rates();
        take(&mut rates, Instant::now()).map_err(|spent| Refusal::Spent(spent, rates.again(spent)))
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Refusal {
    /// Its word in the metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::LongBody | Self::Body => "key",
            Self::Issue(issue::Error::Key | issue::Error::Weak(_)) => "key",
            Self::NoToken | Self::Token(_) | Self::Issue(issue::Error::Expired) => "token",
            Self::Kubernetes(token_users::Error::Away(_)) => "unavailable",
            Self::Kubernetes(token_users::Error::Names(_)) => "forbidden",
            Self::Kubernetes(_) => "token",
            Self::Oidc(oidc::Error::Keys(_)) => "unavailable",
            Self::Oidc(oidc::Error::Mapping(_)) => "forbidden",
            Self::Oidc(_) => "token",
            Self::Issue(issue::Error::Groups(_) | issue::Error::Long) => "forbidden",
            Self::Issue(issue::Error::Make(_) | issue::Error::Random(_)) => "unavailable",
            Self::Spent(..) => "limited",
            Self::Busy | Self::NoCa | Self::Timeout => "unavailable",
        }
    }
}
