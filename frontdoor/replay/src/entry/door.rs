//! Redeems links and tokens, and knows visitors by their cookies. A link is used up by an object in the
//! recordings' store that can be made once, so it holds for all replicas and over restarts.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use podgate_identity::kubernetes::token_claims::Claims;
use podgate_identity::kubernetes::token_users::{self, TokenUsers};
use podgate_identity::pass::{self, LINK_SECONDS, Pass, PassKey};
use podgate_recording::Library;
use tokio::time::timeout;

use super::cookie::Cookie;
use super::error::Error;
use super::known::Known;
use super::rates::{Rates, Way};

/// How long the API server and the store may take.
const WITHIN: Duration = Duration::from_secs(15);

/// Who lets visitors in.
pub(crate) struct Door {
    key: PassKey,
    library: Library,
    known: Known,
    tokens: Option<TokenUsers>,
    rates: Mutex<Rates>,
    session: Duration,
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    /// The name of the pass, which is nobody else's.
    pub(crate) name: String,
    pub(crate) pass: Arc<Pass>,
    /// In seconds since 1970.
    until: u64,
}

/// Somebody has just signed in.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) pass: Arc<Pass>,
    /// The value of a `Set-Cookie` header.
    pub(crate) cookie: String,
}

impl Visitor {
    /// Whether the visit is over.
    pub(crate) fn is_over(&self) -> bool {
        self.until <= now()
    }
}

impl Door {
    pub(crate) fn new(
        key: PassKey,
        library: Library,
        tokens: Option<TokenUsers>,
        refused_a_minute: u32,
        session: Duration,
    ) -> Self {
        Self {
            key,
            library,
            known: Known::new(),
            tokens,
            rates: Mutex::new(Rates::new(refused_a_minute)),
            session,
        }
    }

    /// Whether tokens let anybody in.
    pub(crate) fn takes_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// The pass of a link, which is not used up by this.
    pub(crate) async fn look(&self, secret: &str) -> Result<Arc<Pass>, Error> {
        let (name, way) = self.link(secret)?;
        let look = async { Ok(Arc::new(self.unused(&name).await?)) };
        self.rated(way, look).await
    }

    /// Uses up a link.
    pub(crate) async fn redeem(&self, secret: &str) -> Result<Entered, Error> {
        let (name, way) = self.link(secret)?;
        let redeem = async {
            let pass = self.unused(&name).await?;
            // Of several who come at once, one alone makes this object.
            let first = self.library.keep_link(&used(&name), "used\n").await?;
            if !first {
                return Err(Error::Gone);
            }
            self.enter(name, pass, now() + self.session.as_secs())
        };
        self.rated(way, redeem).await
    }

    /// Lets in the holder of a Kubernetes token, for as long as it is good at most.
    pub(crate) async fn show(&self, token: &str, peer: IpAddr) -> Result<Entered, Error> {
        let tokens = self.tokens.as_ref().ok_or(Error::NoTokens)?;
        let claims = Claims::read(token);
        let claims = claims.map_err(|error| token_users::Error::Token(error.into()))?;
        let expires = tokens.check(token, &claims)?;
        let show = async {
            let identity = tokens.identify(token).await?;
            let secret = pass::secret()?;
            let name = pass::name(&secret).ok_or(Error::Gone)?;
            let pass = Pass {
                identity,
                session: pass::secret()?,
                recording: None,
                // No link leads to it.
                expires: 0,
            };
            let sealed = pass.seal(&self.key, &name)?;
            self.library.keep_link(&name, sealed).await?;
            self.enter(name, pass, expires.min(now() + self.session.as_secs()))
        };
        self.rated(Way::Token(peer), show).await
    }

    /// Who sends this request.
    pub(crate) async fn visitor(&self, headers: &HeaderMap) -> Result<Visitor, Error> {
        let cookie = Cookie::read(&self.key, headers);
        let cookie = cookie.filter(|cookie| now() < cookie.until);
        let Cookie { pass: name, until } = cookie.ok_or(Error::SignedOut)?;
        if let Some(pass) = self.known.get(&name) {
            return Ok(Visitor { name, pass, until });
        }
        let kept = timeout(WITHIN, self.library.link(&name));
        let kept = kept.await.map_err(|_| Error::Late)??;
        let pass = Pass::open(&self.key, &name, &kept.ok_or(Error::SignedOut)?);
        let pass = Arc::new(pass.map_err(|_| Error::SignedOut)?);
        self.known.put(name.clone(), Arc::clone(&pass));
        Ok(Visitor { name, pass, until })
    }

    /// The pass of the link of this name, if it is good.
    async fn unused(&self, name: &str) -> Result<Pass, Error> {
        let sealed = self.library.link(name).await?.ok_or(Error::Gone)?;
        let pass = Pass::open(&self.key, name, &sealed).map_err(|_| Error::Gone)?;
        let now = now();
        // A clock that is behind the frontdoor's makes no link good for longer.
        if pass.expires <= now || pass.expires > now + LINK_SECONDS * 2 {
            return Err(Error::Gone);
        }
        if self.library.link(&used(name)).await?.is_some() {
            return Err(Error::Gone);
        }
        Ok(pass)
    }

    fn enter(&self, name: String, pass: Pass, until: u64) -> Result<Entered, Error> {
        let pass = Arc::new(pass);
        self.known.put(name.clone(), Arc::clone(&pass));
        let cookie = Cookie { pass: name, until };
        let cookie = cookie.header(&self.key, until.saturating_sub(now()))?;
        Ok(Entered { pass, cookie })
    }

    /// The name of a link, and the rate that it counts against. One that was made up has none, and so
    /// costs nothing.
    fn link(&self, secret: &str) -> Result<(String, Way), Error> {
        let name = pass::name(secret).ok_or(Error::Gone)?;
        match self.key.vouches(secret) {
            true => Ok((name.clone(), Way::Link(name))),
            false => Err(Error::Gone),
        }
    }

    /// Does what costs the store or the API server something, as often as the rate allows.
    async fn rated<T>(
        &self,
        way: Way,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let rates = || self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if !rates().take(&way, Instant::now()) {
            return Err(Error::Rate);
        }
        let done = timeout(WITHIN, work).await.unwrap_or(Err(Error::Late));
        if done.is_ok() {
            rates().give_back(&way);
        }
        done
    }
}

/// The object that is there once a link was used.
fn used(name: &str) -> String {
    format!("{name}.used")
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
