//! Which keys and signatures are too weak to prove anything, whoever vouches for them.

use russh::keys::Algorithm;
use russh::keys::ssh_key::public::KeyData;

/// Bits of an RSA key, at the least (NIST SP 800-131A).
const MIN_RSA_BITS: u32 = 2048;

/// Why a key proves nothing; `None` if it may.
pub(crate) fn weakness(key: &KeyData) -> Option<&'static str> {
    match key {
        KeyData::Rsa(rsa) if rsa.key_size() < MIN_RSA_BITS => {
            Some("RSA keys need 2048 bits or more")
        }
        KeyData::Dsa(_) => Some("DSA keys are too weak"),
        KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => {
            Some("hardware-backed keys are not supported yet")
        }
        _ => None,
    }
}

/// Whether a signature by this algorithm proves anything: one with SHA-1 (`ssh-rsa` of RFC 4253) or
/// DSA does not. russh does not ask (its `preferred.key` is for host keys).
pub(crate) fn signs(algorithm: &Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Rsa { hash: None } | Algorithm::Dsa)
}
