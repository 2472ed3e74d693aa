//! Makes an OpenSSH host certificate (PROTOCOL.certkeys) for a frontdoor's host key.

use podgate_identity::strength;
use ssh_key::certificate::CertType;
use ssh_key::{Certificate, PrivateKey, PublicKey};

use crate::ssh_ca::{begin, is_supported};

/// The key id, which sshd and ssh show in their logs.
const KEY_ID: &str = "podgate";

/// Why a host key gets no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("it is not an SSH public key: {0}")]
    Key(ssh_key::Error),
    #[error("a host key must be ed25519 or ecdsa")]
    Kind,
    #[error("{0}")]
    Weak(&'static str),
    #[error("the certificate cannot be made: {0}")]
    Make(#[from] ssh_key::Error),
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// Signs a certificate for a public key in the format of RFC 4253 §6.6. `times` are now and the end, in
/// seconds since 1970.
pub(super) fn certificate(
    authority: &PrivateKey,
    key: &[u8],
    names: &[String],
    times: (u64, u64),
) -> Result<Certificate, Error> {
    let key = PublicKey::from_bytes(key).map_err(Error::Key)?;
    if !is_supported(&key.algorithm()) {
        return Err(Error::Kind);
    }
    if let Some(reason) = strength::weakness(key.key_data()) {
        return Err(Error::Weak(reason));
    }
    let mut builder = begin::<Error>(&key, (CertType::Host, KEY_ID), times)?;
    for name in names {
        builder.valid_principal(name.as_str())?;
    }
    Ok(builder.sign(authority)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssh_key::HashAlg;
    use ssh_key::private::{Ed25519Keypair, KeypairData};

    fn key(seed: u8) -> PrivateKey {
        let pair = Ed25519Keypair::from_seed(&[seed; 32]);
        PrivateKey::new(KeypairData::Ed25519(pair), "").unwrap()
    }

    #[test]
    fn a_certificate_is_for_hosts_of_these_names_alone() {
        let (ca, host) = (key(1), key(2));
        let names = ["a.example".to_owned(), "192.0.2.7".to_owned()];
        let bytes = host.public_key().to_bytes().unwrap();
        let made = certificate(&ca, &bytes, &names, (1000, 2000)).unwrap();
        assert!(made.cert_type().is_host());
        assert_eq!(made.valid_principals(), names);
        assert_eq!(made.public_key(), host.public_key().key_data());
        assert_eq!((made.valid_after(), made.valid_before()), (940, 2000));
        assert!(made.critical_options().is_empty() && made.extensions().is_empty());
        let trusted = ca.public_key().fingerprint(HashAlg::Sha256);
        made.validate_at(1500, [&trusted]).unwrap();
        assert!(matches!(
            certificate(&ca, &bytes[..10], &names, (0, 1)),
            Err(Error::Key(_))
        ));
    }
}
