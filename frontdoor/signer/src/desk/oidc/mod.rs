//! Id tokens of OpenID Connect issuers (OpenID Connect Core §3.1.3.7), verified by the issuers' own
//! keys. Only signatures by private keys are accepted: with a shared secret, every verifier could sign,
//! too.

mod claims;
mod fetch;
mod keys;

use std::path::PathBuf;
use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use podgate_identity::Identity;
use podgate_identity::kubernetes::token_claims::Claims;
use serde_json::{Map, Value};

pub(super) use claims::Mapping;
pub(crate) use fetch::Error as FetchError;
use fetch::Fetch;
use keys::Keys;

/// How far an issuer's clock may be ahead, in seconds (as in go-oidc, which kube-apiserver uses).
const AHEAD: u64 = 300;

/// Why an id token names nobody.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Error {
    #[error("the token's issuer cannot be asked for its keys")]
    Keys(#[source] keys::Error),
    #[error("the token's header is not valid")]
    Header,
    #[error("the token is signed by an algorithm that is not configured")]
    Algorithm,
    #[error("the token is not signed by a key of its issuer")]
    Signature,
    #[error("the token is not for this client")]
    Audience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    Early,
    #[error("the token does not say its issuer, audience or expiry")]
    Claims,
    #[error(transparent)]
    Mapping(#[from] claims::Error),
}

/// Checked settings of one issuer.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) issuer: String,
    pub(crate) client: String,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) mapping: Mapping,
}

/// One issuer.
#[derive(Debug)]
pub(crate) struct Issuer {
    config: Config,
    keys: Keys,
}

impl Issuer {
    pub(crate) fn new(config: Config) -> Result<Self, FetchError> {
        let fetch = Fetch::new(config.ca.clone())?;
        let keys = Keys::new(config.issuer.clone(), fetch);
        Ok(Self { config, keys })
    }

    /// Whether a token names this issuer.
    pub(crate) fn is(&self, claims: &Claims) -> bool {
        claims.iss == self.config.issuer
    }

    /// Verifies a token. Returns its user, and when it expires. Times are in seconds since 1970.
    pub(crate) async fn identify(&self, token: &str, now: u64) -> Result<(Identity, u64), Error> {
        let header = decode_header(token).map_err(|_| Error::Header)?;
        if !self.config.algorithms.contains(&header.alg) {
            return Err(Error::Algorithm);
        }
        let name = header.kid.as_deref();
        let mut keys = self.keys.current(None).await.map_err(Error::Keys)?;
        let mut verified = self.verify(token, header.alg, name, &keys);
        if let Err(Error::Signature) = verified {
            let newer = self.keys.current(Some(&keys)).await.map_err(Error::Keys)?;
            if !Arc::ptr_eq(&newer, &keys) {
                keys = newer;
                verified = self.verify(token, header.alg, name, &keys);
            }
        }
        let all = verified?;
        // The signature is verified now, so these claims hold.
        let said = Claims::read(token).map_err(|_| Error::Claims)?;
        let expires = said.expires().ok_or(Error::Claims)?;
        for claim in ["nbf", "iat"] {
            let at = all.get(claim).filter(|at| !at.is_null());
            let at = at.map(|at| at.as_f64().ok_or(Error::Claims)).transpose()?;
            if at.is_some_and(|at| at > now.saturating_add(AHEAD) as f64) {
                return Err(Error::Early);
            }
        }
        // A token that is for others, too, must name this client as its authorized party (Core
        // §3.1.3.7, 4 and 5).
        let party = all.get("azp").and_then(Value::as_str);
        if said.aud.is_several() && party != Some(&self.config.client) {
            return Err(Error::Audience);
        }
        Ok((self.config.mapping.identity(&all)?, expires))
    }

    /// The claims, if one of the keys has signed them for this client.
    fn verify(
        &self,
        token: &str,
        algorithm: Algorithm,
        name: Option<&str>,
        keys: &[Jwk],
    ) -> Result<Map<String, Value>, Error> {
        let mut validation = Validation::new(algorithm);
        validation.leeway = 0;
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.client]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let fitting = keys.iter().filter(|key| keys::fits(key, algorithm, name));
        for key in fitting {
            let Ok(key) = DecodingKey::from_jwk(key) else {
                continue;
            };
            return match decode(token, &key, &validation) {
                Ok(decoded) => Ok(decoded.claims),
                Err(error) => match error.kind() {
                    ErrorKind::ExpiredSignature => Err(Error::Expired),
                    ErrorKind::InvalidAudience => Err(Error::Audience),
                    ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidIssuer => {
                        Err(Error::Claims)
                    }
                    // Another key may have signed it.
                    _ => continue,
                },
            };
        }
        Err(Error::Signature)
    }
}
