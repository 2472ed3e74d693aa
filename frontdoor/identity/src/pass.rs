//! A pass: what a link to the page of recordings stands for. The frontdoor seals it for the page's program
//! with a key that both have. Whoever keeps it in between can neither read nor change it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::identity::Identity;

/// Bytes of a key.
const KEY: usize = 32;
/// Random bytes of a link's secret.
const SECRET: usize = 16;
/// Bytes of what follows them, which only a holder of the key can make.
const TAG: usize = 8;
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

/// What seals passes and cookies, and makes links that can be told from made-up ones.
pub struct PassKey {
    seal: RandomizedNonceKey,
    vouch: hmac::Key,
}

impl PassKey {
    /// Reads a key in base64.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bytes = BASE64_STANDARD.decode(text.trim());
        let bytes = bytes.ok().filter(|bytes| bytes.len() == KEY);
        let bytes = bytes.ok_or(Error::Key)?;
        let seal = RandomizedNonceKey::new(&AES_256_GCM, &bytes);
        // A key of its own: no key is good for two things.
        let whole = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        let own = hmac::sign(&whole, b"podgate links");
        Ok(Self {
            seal: seal.map_err(|_| Error::Key)?,
            vouch: hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()),
        })
    }

    /// Makes the text of a key.
    pub fn make() -> Result<String, Error> {
        Ok(BASE64_STANDARD.encode(random::<KEY>()?))
    }

    /// Seals bytes for one purpose, which whoever opens them must name.
    pub fn seal(&self, purpose: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut sealed = bytes.to_vec();
        let nonce = self
            .seal
            .seal_in_place_append_tag(Aad::from(purpose), &mut sealed);
        let nonce = nonce.map_err(|_| Error::Seal)?;
        Ok([nonce.as_ref().as_slice(), sealed.as_slice()].concat())
    }

    /// Opens what [`seal`](Self::seal) made for this purpose.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(Error::Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Error::Sealed)?;
        let mut bytes = sealed.to_vec();
        let opened = self
            .seal
            .open_in_place(nonce, Aad::from(purpose), &mut bytes);
        let length = opened.map_err(|_| Error::Sealed)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }

    /// A link's secret, which nobody can guess: 32 random hex digits, and 16 that vouch for them.
    pub fn secret(&self) -> Result<String, Error> {
        let random = secret()?;
        let tag = self.tag(&random);
        Ok(format!("{random}{tag}"))
    }

    /// Whether [`secret`](Self::secret) made this. Who only guesses does not come so far, and costs no look
    /// into the store.
    pub fn vouches(&self, secret: &str) -> bool {
        let parts = secret.split_at_checked(SECRET * 2);
        parts.is_some_and(|(random, tag)| {
            let own = self.tag(random);
            verify_slices_are_equal(own.as_bytes(), tag.as_bytes()).is_ok()
        })
    }

    fn tag(&self, random: &str) -> String {
        let tag = hmac::sign(&self.vouch, random.as_bytes());
        hex(tag.as_ref().get(..TAG).unwrap_or_default())
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

/// 32 hex digits, which nobody can guess. A link's secret has a tag, too: [`PassKey::secret`].
pub fn secret() -> Result<String, Error> {
    Ok(hex(&random::<SECRET>()?))
}

/// The name under which the pass of a link is kept; `None` if it is no link's secret. It does not tell the
/// secret, so that whoever lists the store's objects cannot open a link.
pub fn name(secret: &str) -> Option<String> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let tagged = secret.len() == (SECRET + TAG) * 2;
    let plain = secret.len() == SECRET * 2;
    let known = (tagged || plain) && secret.bytes().all(digit);
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
    fn a_links_secret_can_be_told_from_one_that_was_made_up() {
        let key = || PassKey::parse(&PassKey::make().unwrap()).unwrap();
        let (own, other) = (key(), key());
        let made = own.secret().unwrap();
        assert_eq!((made.len(), name(&made).unwrap().len()), (48, 64));
        assert!(own.vouches(&made) && !other.vouches(&made));
        let last = if made.ends_with('0') { "1" } else { "0" };
        let changed = format!("{}{last}", &made[..47]);
        for wrong in ["", &made[..32], &made[..47], &changed, &"é".repeat(24)] {
            assert!(!own.vouches(wrong), "{wrong}");
        }
        assert_ne!(own.secret().unwrap(), made);
        assert!(!own.vouches(&secret().unwrap()));
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
