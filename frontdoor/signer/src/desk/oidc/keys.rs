//! An issuer's keys (OpenID Connect Discovery §4, RFC 7517). They are read when first needed, and again
//! when they are old or a token names an unknown one. While the issuer is away, the last ones serve for
//! a day.

use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use podgate_process::bucket::Bucket;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::fetch::{self, Fetch};

/// How long keys serve before they are read again. A key that its issuer withdraws is valid no longer
/// than this.
const FRESH: Duration = Duration::from_secs(600);
/// How long keys serve while their issuer is away.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long an issuer that did not answer is not asked again.
const AWAY: Duration = Duration::from_secs(5);
/// How many times a minute unknown key names cause a read. Anybody can make up such names.
const UNKNOWN_A_MINUTE: u32 = 10;
/// Keys of a set that are looked at, at most.
const MAX_KEYS: usize = 64;

/// Why there are no keys.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(in crate::desk) enum Error {
    #[error("{0}")]
    Fetch(Arc<fetch::Error>),
    #[error("the issuer calls itself {0:?}")]
    Issuer(String),
    #[error("the issuer did not answer a moment ago")]
    Away,
}

/// The fields of a discovery document that are read.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// A JWK set. A key that is not understood is skipped, and the others serve (RFC 7517 §5).
#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// One issuer's keys.
#[derive(Debug)]
pub(super) struct Keys {
    issuer: String,
    fetch: Fetch,
    known: Lock<KnownKeys>,
    /// One caller asks at a time; the others take its answer.
    asking: Mutex<()>,
}

#[derive(Debug)]
struct KnownKeys {
    keys: Arc<Vec<Jwk>>,
    read: Option<Instant>,
    failed: Option<Instant>,
    unknown: Bucket,
}

/// What to do for a caller who wants keys.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Use,
    Ask,
    Away,
}

impl KnownKeys {
    fn new(now: Instant) -> Self {
        Self {
            keys: Arc::default(),
            read: None,
            failed: None,
            unknown: Bucket::a_minute(UNKNOWN_A_MINUTE, now),
        }
    }

    /// `unknown`: the kept keys did not fit the token.
    fn next(&mut self, unknown: bool, now: Instant) -> Next {
        let fresh = self.is_fresh(now);
        let kept = self.serves(now);
        let away = self
            .failed
            .is_some_and(|at| now.saturating_duration_since(at) < AWAY);
        match () {
            () if fresh && !unknown => Next::Use,
            () if away && kept && !unknown => Next::Use,
            () if away => Next::Away,
            () if unknown && !self.unknown.take(now) => Next::Use,
            () => Next::Ask,
        }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.read
            .is_some_and(|at| now.saturating_duration_since(at) < FRESH)
    }

    /// Whether the keys still serve while the issuer is away.
    fn serves(&self, now: Instant) -> bool {
        self.read
            .is_some_and(|at| now.saturating_duration_since(at) < KEPT)
    }
}

impl Keys {
    pub(super) fn new(issuer: String, fetch: Fetch) -> Self {
        Self {
            issuer,
            fetch,
            known: Lock::new(KnownKeys::new(Instant::now())),
            asking: Mutex::new(()),
        }
    }

    /// The issuer's keys. `not` are keys that did not fit the token: newer ones are read if possible.
    pub(super) async fn current(
        &self,
        not: Option<&Arc<Vec<Jwk>>>,
    ) -> Result<Arc<Vec<Jwk>>, Error> {
        let unknown = |known: &KnownKeys| not.is_some_and(|not| Arc::ptr_eq(not, &known.keys));
        let there = self.with(|known| {
            let there = !unknown(known) && known.is_fresh(Instant::now());
            there.then(|| Arc::clone(&known.keys))
        });
        if let Some(keys) = there {
            return Ok(keys);
        }
        let _asking = self.asking.lock().await;
        // Another caller may have asked meanwhile.
        let next = self.with(|known| match known.next(unknown(known), Instant::now()) {
            Next::Use => Ok(Some(Arc::clone(&known.keys))),
            Next::Away => Err(Error::Away),
            Next::Ask => Ok(None),
        });
        if let Some(keys) = next? {
            return Ok(keys);
        }
        let read = self.read().await;
        self.with(|known| match read {
            Ok(keys) => {
                known.keys = Arc::new(keys);
                (known.read, known.failed) = (Some(Instant::now()), None);
                Ok(Arc::clone(&known.keys))
            }
            Err(error) => {
                let now = Instant::now();
                known.failed = Some(now);
                if not.is_none() && known.serves(now) {
                    tracing::warn!(issuer = self.issuer, %error, "its last keys serve");
                    return Ok(Arc::clone(&known.keys));
                }
                Err(error)
            }
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut KnownKeys) -> T) -> T {
        act(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn read(&self) -> Result<Vec<Jwk>, Error> {
        let failed = |error| Error::Fetch(Arc::new(error));
        let url = self.issuer.trim_end_matches('/');
        let url = format!("{url}/.well-known/openid-configuration");
        let found: Discovery = self.fetch.json(&url).await.map_err(failed)?;
        if found.issuer != self.issuer {
            return Err(Error::Issuer(found.issuer));
        }
        let set: Set = self.fetch.json(&found.jwks_uri).await.map_err(failed)?;
        let keys = set.keys.into_iter();
        let keys = keys.filter_map(|key| serde_json::from_value(key).ok());
        let keys: Vec<Jwk> = keys.take(MAX_KEYS).collect();
        tracing::info!(issuer = self.issuer, keys = keys.len(), "keys read");
        Ok(keys)
    }
}

/// Whether this key may have signed a token with this algorithm and key name.
pub(super) fn fits(key: &Jwk, algorithm: Algorithm, name: Option<&str>) -> bool {
    let common = &key.common;
    let said = common.key_algorithm;
    name.is_none_or(|name| common.key_id.as_deref() == Some(name))
        && said.is_none_or(|said| said == KeyAlgorithm::from(algorithm))
        && !matches!(common.public_key_use, Some(PublicKeyUse::Encryption))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_asked_when_there_is_a_reason() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut known = KnownKeys::new(start);
        assert_eq!(known.next(false, start), Next::Ask);
        known.failed = Some(start);
        assert_eq!(known.next(false, after(4)), Next::Away);
        assert_eq!(known.next(false, after(6)), Next::Ask);
        (known.read, known.failed) = (Some(start), None);
        assert_eq!(known.next(false, after(599)), Next::Use);
        assert_eq!(known.next(false, after(600)), Next::Ask);
        // The issuer is away: the known keys serve for a day, but an unknown key finds none.
        known.failed = Some(after(600));
        assert_eq!(known.next(false, after(601)), Next::Use);
        assert_eq!(known.next(true, after(601)), Next::Away);
        assert!(known.serves(after(86_399)));
        assert!(!known.serves(after(86_400)));
        known.failed = Some(after(86_400));
        assert_eq!(known.next(false, after(86_401)), Next::Away);
    }

    #[test]
    fn names_that_anybody_makes_up_ask_so_often() {
        let start = Instant::now();
        let mut known = KnownKeys::new(start);
        known.read = Some(start);
        for _ in 0..UNKNOWN_A_MINUTE {
            assert_eq!(known.next(true, start), Next::Ask);
        }
        assert_eq!(known.next(true, start), Next::Use);
        assert_eq!(known.next(true, start + Duration::from_secs(7)), Next::Ask);
    }
}
