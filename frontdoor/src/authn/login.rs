//! What a login is made of: the credentials that a client has proved, and their outcome.

use std::net::IpAddr;
use std::sync::Arc;

use podgate_identity::Identity;
use russh::keys::{Certificate, HashAlg, PublicKey};

use super::options::Required;
use super::presence::{self, NotPresent, Presence};
use super::refusal::Refusal;
use super::restrictions::Restrictions;

/// A credential that a client has proved. russh has verified the signature. A hardware-backed key has
/// said whether its user was there.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    /// A plain public key.
    Key(PublicKey, Option<Presence>),
    /// A certificate, proved by its key.
    Certificate(Box<Certificate>, Option<Presence>),
}

impl Credential {
    /// Checks that a hardware-backed key has said what is required of it.
    pub(super) fn check_presence(&self, required: Required) -> Result<(), NotPresent> {
        match self {
            Self::Key(key, presence) => presence::check(key.key_data(), *presence, required),
            Self::Certificate(certificate, presence) => {
                presence::check(certificate.public_key(), *presence, required)
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub identity: Arc<Identity>,
    /// What they may do.
    pub restrictions: Arc<Restrictions>,
    /// What let them in.
    pub proof: Proof,
}

/// The proof of a login, which [`holds`](super::Authenticator::holds) checks again.
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    pub(super) credentials: Vec<Credential>,
    pub(super) from: IpAddr,
    pub(super) identity: Arc<Identity>,
    pub(super) restrictions: Arc<Restrictions>,
}

/// The outcome of a verified credential.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The login is complete.
    Login(Login),
    /// Another credential is needed, too. These are the ones proved so far.
    Partial(Vec<Credential>),
    Refused(Refusal),
}

impl std::fmt::Display for Credential {
    /// As sshd logs it: fingerprints, and a certificate's id and serial number.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key, _) => write!(f, "{}", key.fingerprint(HashAlg::Sha256)),
            Self::Certificate(certificate, _) => write!(
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
