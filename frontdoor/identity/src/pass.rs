//! A pass: what a link to the page of recordings stands for. The frontdoor seals it for the page's program
//! with a key that both have. Whoever keeps it in between can neither read nor change it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::identity::Identity;

/// Bytes of a key.
const KEY: usize = 32;
/// Bytes of a link's secret.
const SECRET: usize = 16;
/// How long a link may wait to be opened, in seconds.
pub const LINK_SECONDS: u64 = 600;

/// Why there is no pass.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("it is not the base64 of {KEY} bytes")]
    Key,
    #[error("there are no random numbers")]
    Random,
    #[error("it cannot be sealed")]
    Seal,
    #[error("it was not sealed with this key, or was changed")]
    Sealed,
    #[error("it is no pass: {0}")]
    Pass(#[from] serde_json::Error),
}

/// Who may enter the page, and how they came by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pass {
    /// Who it is for.
    pub identity: Identity,
    /// The session in which the link was asked for, as the audit log names it.
    pub session: String,
    /// The recording that the link leads to.
    pub recording: Option<String>,
    /// When it can be opened no longer, in seconds since 1970.
    pub expires: u64,
}

/// What seals passes and cookies.
pub struct PassKey(RandomizedNonceKey);

impl PassKey {
    /// Reads a key in base64.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bytes = BASE64_STANDARD.decode(text.trim());
        let bytes = bytes.ok().filter(|bytes| bytes.len() == KEY);
        let bytes = bytes.ok_or(Error::Key)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes);
        Ok(Self(key.map_err(|_| Error::Key)?))
    }

    /// Makes the text of a key.
    pub fn make() -> Result<String, Error> {
        Ok(BASE64_STANDARD.encode(random::<KEY>()?))
    }

    /// Seals bytes for one purpose, which whoever opens them must name.
    pub fn seal(&self, purpose: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut sealed = bytes.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(purpose), &mut sealed);
        let nonce = nonce.map_err(|_| Error::Seal)?;
        Ok([nonce.as_ref().as_slice(), sealed.as_slice()].concat())
    }

    /// Opens what [`seal`](Self::seal) made for this purpose.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(Error::Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Error::Sealed)?;
        let mut bytes = sealed.to_vec();
        let opened = self.0.open_in_place(nonce, Aad::from(purpose), &mut bytes);
        let length = opened.map_err(|_| Error::Sealed)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

impl std::fmt::Debug for PassKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PassKey").finish_non_exhaustive()
    }
}

impl Pass {
    /// Seals it under the name by which it is kept.
    pub fn seal(&self, key: &PassKey, name: &str) -> Result<Vec<u8>, Error> {
        key.seal(&purpose(name), &serde_json::to_vec(self)?)
    }

    /// Opens what was kept under this name.
    pub fn open(key: &PassKey, name: &str, sealed: &[u8]) -> Result<Self, Error> {
        Ok(serde_json::from_slice(&key.open(&purpose(name), sealed)?)?)
    }
}

/// A link's secret: 32 hex digits, which nobody can guess.
pub fn secret() -> Result<String, Error> {
    Ok(hex(&random::<SECRET>()?))
}

/// The name under which the pass of a link is kept; `None` if it is no link's secret. It does not tell the
/// secret, so that whoever lists the store's objects cannot open a link.
pub fn name(secret: &str) -> Option<String> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let known = secret.len() == SECRET * 2 && secret.bytes().all(digit);
    known.then(|| hex(digest(&SHA256, secret.as_bytes()).as_ref()))
}

fn purpose(name: &str) -> String {
    format!("podgate pass {name}")
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Source;

    fn pass() -> Pass {
        Pass {
            identity: Identity {
                user: "ada".to_owned(),
                groups: vec!["dev".to_owned()],
                extra: [("team".to_owned(), vec!["a".to_owned()])].into(),
                source: Source::KeyAndCertificate,
            },
            session: "0".repeat(32),
            recording: None,
            expires: 1,
        }
    }

    #[test]
    fn a_pass_opens_with_its_key_and_name_alone() {
        let key = || PassKey::parse(&PassKey::make().unwrap()).unwrap();
        let (own, other) = (key(), key());
        let sealed = pass().seal(&own, "a").unwrap();
        assert_eq!(Pass::open(&own, "a", &sealed).unwrap(), pass());
        assert!(!sealed.windows(3).any(|bytes| bytes == b"ada"));
        assert!(Pass::open(&own, "b", &sealed).is_err());
        assert!(Pass::open(&other, "a", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(Pass::open(&own, "a", &changed).is_err(), "{at}");
            assert!(Pass::open(&own, "a", &sealed[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn a_secret_has_a_name_that_does_not_tell_it() {
        let secret = secret().unwrap();
        let name = name(&secret).unwrap();
        assert_eq!((secret.len(), name.len()), (32, 64));
        assert!(!name.contains(&secret));
        for wrong in [
            "",
            "x",
            &"g".repeat(32),
            &"A".repeat(32),
            "../../../../../../../../../../etc",
        ] {
            assert_eq!(super::name(wrong), None, "{wrong}");
        }
        for wrong in ["", "AAAA", "!"] {
            assert!(PassKey::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_source_is_written_as_the_log_names_it() {
        for source in [
            Source::Key,
            Source::Certificate,
            Source::KeyAndCertificate,
            Source::Kubernetes,
            Source::Oidc,
        ] {
            assert_eq!(serde_json::to_value(source).unwrap(), source.as_str());
        }
    }
}
