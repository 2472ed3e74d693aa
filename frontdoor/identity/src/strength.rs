//! Which keys and signature algorithms are too weak to prove anything, whoever vouches for them.

use ssh_key::Algorithm;
use ssh_key::public::KeyData;

/// The smallest RSA key, in bits (NIST SP 800-131A).
const MIN_RSA_BITS: u32 = 2048;

/// Why a key is too weak; `None` if it is strong enough.
pub fn weakness(key: &KeyData) -> Option<&'static str> {
    match key {
        KeyData::Rsa(rsa) if rsa.key_size() < MIN_RSA_BITS => {
            Some("RSA keys need 2048 bits or more")
        }
        KeyData::Dsa(_) => Some("DSA keys are too weak"),
        _ => None,
    }
}

/// Whether a signature by this algorithm is strong enough: SHA-1 (`ssh-rsa` of RFC 4253) and DSA are
/// not. russh does not check it (its `preferred.key` is for host keys).
pub fn signs(algorithm: &Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Rsa { hash: None } | Algorithm::Dsa)
}
