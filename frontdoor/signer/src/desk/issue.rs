//! Makes an OpenSSH user certificate (PROTOCOL.certkeys) for an identity and a public key. The key id
//! is the user, user and groups are principals, and it expires no later than the proof of the identity.

use podgate_identity::desk_claims::{self, DeskClaims, GROUP_PRINCIPAL, USER_PRINCIPAL};
use podgate_identity::{Identity, strength};
use ssh_key::certificate::CertType;
use ssh_key::{Certificate, PrivateKey, PublicKey};

use crate::ssh_ca::{MAX_PRINCIPALS, begin};

/// Bytes of a certificate, at most. A much larger one does not fit into the packet in which a client
/// shows it.
const MAX_BYTES: usize = 24 * 1024;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(super) enum Error {
    #[error("the body is not a single public key as in an OpenSSH .pub file")]
    Key,
    #[error("{0}")]
    Weak(&'static str),
    #[error("the token has expired")]
    Expired,
    #[error("{0} groups are too many for a certificate")]
    Groups(usize),
    #[error("the names of user and groups are too long for a certificate")]
    Long,
    #[error("the certificate cannot be made: {0}")]
    Make(#[from] ssh_key::Error),
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// What a certificate lets its holder do, by its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    Pty,
    PortForwarding,
    AgentForwarding,
}

impl Permit {
    pub(super) const ALL: [Self; 3] = [Self::Pty, Self::PortForwarding, Self::AgentForwarding];

    /// The name of its extension, without `permit-`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pty => "pty",
            Self::PortForwarding => "port-forwarding",
            Self::AgentForwarding => "agent-forwarding",
        }
    }
}

/// The settings of all certificates.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// In seconds.
    pub(crate) lifetime: u64,
    pub(crate) permit: Vec<Permit>,
}

/// Reads the one public key in a request's body.
pub(super) fn public_key(body: &[u8]) -> Result<PublicKey, Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::Key)?.trim();
    if text.lines().count() != 1 {
        return Err(Error::Key);
    }
    let key: PublicKey = text.parse().map_err(|_| Error::Key)?;
    match strength::weakness(key.key_data()) {
        Some(reason) => Err(Error::Weak(reason)),
        None => Ok(key),
    }
}

/// Signs a certificate for `identity`, whose proof is valid until `expires`. Times are in seconds since
/// 1970.
pub(super) fn certificate(
    authority: &PrivateKey,
    key: &PublicKey,
    identity: &Identity,
    terms: &Terms,
    (now, expires): (u64, u64),
) -> Result<Certificate, Error> {
    let until = expires.min(now.saturating_add(terms.lifetime));
    if until <= now {
        return Err(Error::Expired);
    }
    // One principal is the user's.
    if identity.groups.len() >= MAX_PRINCIPALS {
        return Err(Error::Groups(identity.groups.len()));
    }
    let mut builder = begin::<Error>(key, (CertType::User, &identity.user), (now, until))?;
    builder
        .valid_principal(format!("{USER_PRINCIPAL}{}", identity.user))?
        .comment(identity.user.as_str())?
        .extension(desk_claims::EXTENSION, DeskClaims::of(identity).to_string())?;
    for group in &identity.groups {
        builder.valid_principal(format!("{GROUP_PRINCIPAL}{group}"))?;
    }
    for permit in &terms.permit {
        builder.extension(format!("permit-{}", permit.as_str()), "")?;
    }
    let certificate = builder.sign(authority)?;
    if certificate.to_bytes()?.len() > MAX_BYTES {
        return Err(Error::Long);
    }
    Ok(certificate)
}
