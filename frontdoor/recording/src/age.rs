//! Writes age files (age-encryption.org/v1) for X25519 keys, as `age -r KEY` does: so that whoever writes
//! recordings need not be able to read them. All cryptography is aws-lc's; here is the file's layout.

use std::fmt::Write as _;
use std::str::FromStr;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bech32::Bech32;
use bech32::primitives::decode::CheckedHrpstring;

/// Bytes of the content that have a tag of their own.
const PIECE: usize = 64 * 1024;
/// What makes a file's keys.
type FileKey = [u8; 16];

/// Somebody who can read what is encrypted: the public key that `age-keygen` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient([u8; 32]);

/// A text is no recipient. It is not repeated: it may be a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum NoRecipient {
    #[error(
        "is a secret key; give the public one, which begins with age1, and keep this one elsewhere"
    )]
    Secret,
    #[error("is no public key that age-keygen makes (age1 and 58 characters)")]
    Other,
}

impl FromStr for Recipient {
    type Err = NoRecipient;

    fn from_str(text: &str) -> Result<Self, NoRecipient> {
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            return Err(NoRecipient::Secret);
        }
        let read = CheckedHrpstring::new::<Bech32>(text);
        let read = read.ok().filter(|read| read.hrp().as_str() == "age");
        let bytes: Vec<u8> = read.ok_or(NoRecipient::Other)?.byte_iter().collect();
        let key = <[u8; 32]>::try_from(bytes).map_err(|_| NoRecipient::Other)?;
        let recipient = Self(key);
        // A point of small order agrees on no secret. It is better found now than with each chunk.
        let tried = recipient.stanza(&FileKey::default());
        tried.map(|_| recipient).map_err(|_| NoRecipient::Other)
    }
}

impl Recipient {
    /// The lines with which this recipient finds a file's key.
    fn stanza(&self, file_key: &FileKey) -> Result<String, Unspecified> {
        let own = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new())?;
        let share = own.compute_public_key()?;
        let salt = [share.as_ref(), self.0.as_slice()].concat();
        let peer = UnparsedPublicKey::new(&X25519, self.0.as_slice());
        let derived = |secret: &[u8]| derive(secret, &salt, b"age-encryption.org/v1/X25519");
        let key = aead(agree_ephemeral(own, peer, Unspecified, derived)?)?;
        let mut body = file_key.to_vec();
        // The key is of this use alone.
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut body)?;
        let (share, body) = (base64(share.as_ref()), base64(&body));
        Ok(format!("-> X25519 {share}\n{body}\n"))
    }
}

/// Encrypts content for each of these.
pub(crate) fn seal(recipients: &[Recipient], content: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut file_key = FileKey::default();
    fill(&mut file_key)?;
    let mut header = "age-encryption.org/v1\n".to_owned();
    for recipient in recipients {
        header.push_str(&recipient.stanza(&file_key)?);
    }
    header.push_str("---");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &derive(&file_key, &[], b"header")?);
    let tag = hmac::sign(&key, header.as_bytes());
    // Text into memory does not fail.
    let _ = writeln!(header, " {}", base64(tag.as_ref()));
    let mut nonce = [0; 16];
    fill(&mut nonce)?;
    let mut file = [header.as_bytes(), &nonce].concat();
    payload(derive(&file_key, &nonce, b"payload")?, content, &mut file)?;
    Ok(file)
}

/// Writes the content in pieces. The last is marked, and an empty content has one, too.
fn payload(
    key: [u8; digest::SHA256_OUTPUT_LEN],
    content: &[u8],
    file: &mut Vec<u8>,
) -> Result<(), Unspecified> {
    let key = aead(key)?;
    let mut pieces = content.chunks(PIECE);
    let last = pieces.len().saturating_sub(1);
    for number in 0..=last {
        let mut piece = pieces.next().unwrap_or_default().to_vec();
        let [a, b, c, d, e, f, g, h] = (number as u64).to_be_bytes();
        let nonce = [0, 0, 0, a, b, c, d, e, f, g, h, u8::from(number == last)];
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut piece)?;
        file.extend(piece);
    }
    Ok(())
}

fn derive(
    secret: &[u8],
    salt: &[u8],
    info: &[u8],
) -> Result<[u8; digest::SHA256_OUTPUT_LEN], Unspecified> {
    let mut key = [0; digest::SHA256_OUTPUT_LEN];
    let secret = Salt::new(HKDF_SHA256, salt).extract(secret);
    secret.expand(&[info], HKDF_SHA256)?.fill(&mut key)?;
    Ok(key)
}

fn aead(key: [u8; digest::SHA256_OUTPUT_LEN]) -> Result<LessSafeKey, Unspecified> {
    Ok(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key)?))
}

fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD_NO_PAD.encode(bytes)
}

#[cfg(test)]
pub(crate) mod tests;
