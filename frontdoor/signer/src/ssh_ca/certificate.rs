//! What all SSH certificates have in common (PROTOCOL.certkeys).

use ssh_key::certificate::{Builder, CertType};
use ssh_key::{Algorithm, PublicKey};

/// Principals of a certificate, at the most: ssh reads no more (SSHKEY_CERT_MAX_PRINCIPALS of OpenSSH).
pub(crate) const MAX_PRINCIPALS: usize = 256;
/// Seconds that a certificate is valid before it is made, because clocks differ.
const BEFORE: u64 = 60;

/// Whether the signer signs with, and for hosts, keys of this kind.
pub(crate) fn is_supported(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Ed25519 | Algorithm::Ecdsa { .. })
}

/// Begins a certificate with a serial number of its own. `now` and `until` are in seconds since 1970.
pub(crate) fn begin<E: From<ssh_key::Error> + From<getrandom::Error>>(
    key: &PublicKey,
    (kind, key_id): (CertType, &str),
    (now, until): (u64, u64),
) -> Result<Builder, E> {
    let mut nonce = [0; Builder::RECOMMENDED_NONCE_SIZE];
    getrandom::fill(&mut nonce)?;
    let mut serial = [0; 8];
    getrandom::fill(&mut serial)?;
    let mut builder = Builder::new(nonce, key, now.saturating_sub(BEFORE), until)?;
    builder
        .serial(u64::from_be_bytes(serial))?
        .cert_type(kind)?
        .key_id(key_id)?;
    Ok(builder)
}
