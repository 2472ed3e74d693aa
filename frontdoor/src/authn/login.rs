//! What a login is made of: the credentials that a client has proved to hold, and what they come to.

use std::net::IpAddr;
use std::sync::Arc;

use podgate_identity::Identity;
use russh::keys::{Certificate, HashAlg, PublicKey};

use super::refusal::Refusal;
use super::restrictions::Restrictions;

/// What a client has proved to hold. russh has verified the signature.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    /// A plain public key.
    Key(PublicKey),
    /// A certificate, by its key.
    Certificate(Box<Certificate>),
}

/// A verified login.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    /// Who.
    pub identity: Arc<Identity>,
    /// What they may do.
    pub restrictions: Arc<Restrictions>,
    /// What let them in.
    pub proof: Proof,
}

/// What let someone in, for [`holds`](super::Authenticator::holds).
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    pub(super) credentials: Vec<Credential>,
    pub(super) from: IpAddr,
    pub(super) identity: Arc<Identity>,
    pub(super) restrictions: Arc<Restrictions>,
}

/// What becomes of a verified credential.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// They are in.
    Login(Login),
    /// So far so good, and the other credential is wanted, too. These are the earlier ones, then.
    Partial(Vec<Credential>),
    /// No.
    Refused(Refusal),
}

impl std::fmt::Display for Credential {
    /// As sshd logs it: fingerprints, and a certificate's id and serial number.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => write!(f, "{}", key.fingerprint(HashAlg::Sha256)),
            Self::Certificate(certificate) => write!(
                f,
                "{} id {:?} serial {} CA {}",
                certificate.public_key().fingerprint(HashAlg::Sha256),
                certificate.key_id(),
                certificate.serial(),
                certificate.signature_key().fingerprint(HashAlg::Sha256),
            ),
        }
    }
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, credential) in self.credentials.iter().enumerate() {
            let between = if number == 0 { "" } else { ", " };
            write!(f, "{between}{credential}")?;
        }
        Ok(())
    }
}
