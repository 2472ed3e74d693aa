//! OpenSSH user certificates of trusted CAs (PROTOCOL.certkeys). russh checks the client's signature,
//! the CA's signature and the dates. Everything else is checked here.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use podgate_identity::addresses::Addresses;
use podgate_identity::desk_claims::{self, DeskClaims};
use podgate_identity::{Identity, NameError, Source, strength};
use podgate_process::reload::Reloaded;
use russh::keys::ssh_key::Fingerprint;
use russh::keys::{Certificate, HashAlg, PublicKey};

use super::options::Required;
use super::restrictions::Restrictions;
use crate::config::{self, UserFrom};

/// Why a file of CA keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: line {number}: {reason}")]
    Line {
        path: PathBuf,
        number: usize,
        reason: String,
    },
    #[error("{path} contains no key")]
    Empty { path: PathBuf },
}

/// Why a certificate does not let someone in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum CertificateRefusal {
    #[error("its CA is not trusted")]
    Authority,
    #[error("it is a host certificate")]
    Host,
    #[error("it is not valid yet")]
    Early,
    #[error("it has expired")]
    Expired,
    #[error("it names no principals")]
    NoPrincipals,
    #[error("{0}")]
    Weak(&'static str),
    #[error("its CA signed with SHA-1")]
    Signature,
    #[error("its CA's signature is wrong")]
    Forged,
    #[error("its critical option {0:?} is not supported")]
    Critical(String),
    #[error("its source-address is not a list of networks")]
    Networks,
    #[error("the client's address does not match its source-address")]
    Address,
    #[error("its force-command is empty or contains a NUL byte")]
    Command,
    #[error("{0} of its principals could be the user's name; exactly one must be")]
    User(usize),
    #[error("{0}")]
    Desk(#[from] desk_claims::Error),
    #[error("{0}")]
    Names(#[from] NameError),
}

/// Trusted CAs, and the rule by which their certificates are read.
#[derive(Debug)]
pub(crate) struct Certificates {
    authorities: Reloaded<Vec<Fingerprint>, Error>,
    rule: config::Certificates,
}

impl Certificates {
    /// Reads the CAs' keys for the first time.
    pub(crate) fn load(rule: config::Certificates) -> Result<Self, Error> {
        let path = rule.authorities.clone();
        if !rule.optional {
            read(&path)?;
        }
        // If the file is emptied or deleted later, no CA is trusted; the last keys do not stay in
        // force.
        let authorities = Reloaded::load(vec![path.clone()], move || match read(&path) {
            Err(Error::Read { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(vec![]),
            Err(Error::Empty { .. }) => Ok(vec![]),
            read => read,
        })?;
        Ok(Self { authorities, rule })
    }

    pub(super) async fn refresh(&self) {
        self.authorities.refresh().await;
    }

    /// Whether the file cannot be read now, so that earlier CAs are in force.
    pub(super) fn is_stale(&self) -> bool {
        self.authorities.is_stale()
    }

    /// The user of this certificate, and the restrictions. `from` is the client's address.
    pub(crate) fn find(
        &self,
        certificate: &Certificate,
        from: IpAddr,
        now: SystemTime,
    ) -> Result<(Identity, Restrictions), CertificateRefusal> {
        self.trust(certificate, now)?;
        if certificate.cert_type().is_host() {
            return Err(CertificateRefusal::Host);
        }
        if certificate.valid_principals().is_empty() {
            return Err(CertificateRefusal::NoPrincipals);
        }
        let restrictions = restrictions(certificate, from)?;
        Ok((self.identity(certificate)?, restrictions))
    }

    /// Checks that a trusted CA vouches for the certificate now, by algorithms that are strong enough.
    fn trust(&self, certificate: &Certificate, now: SystemTime) -> Result<(), CertificateRefusal> {
        let authorities = self.authorities.last();
        let authority = certificate.signature_key();
        if !authorities.contains(&authority.fingerprint(HashAlg::Sha256)) {
            return Err(CertificateRefusal::Authority);
        }
        for key in [authority, certificate.public_key()] {
            if let Some(reason) = strength::weakness(key) {
                return Err(CertificateRefusal::Weak(reason));
            }
        }
        if !strength::signs(&certificate.signature().algorithm()) {
            return Err(CertificateRefusal::Signature);
        }
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs());
        if now < certificate.valid_after() {
            return Err(CertificateRefusal::Early);
        }
        if now >= certificate.valid_before() {
            return Err(CertificateRefusal::Expired);
        }
        // Checks the above once more, and the CA's signature.
        certificate
            .validate_at(now, authorities.iter())
            .map_err(|_| CertificateRefusal::Forged)
    }

    fn identity(&self, certificate: &Certificate) -> Result<Identity, CertificateRefusal> {
        let rule = &self.rule;
        let principals = certificate.valid_principals().iter();
        let (groups, others): (Vec<_>, Vec<_>) =
            principals.partition(|principal| principal.starts_with(&rule.group_principal));
        let groups: Vec<_> = groups
            .iter()
            .filter_map(|group| group.strip_prefix(&rule.group_principal))
            .map(str::to_owned)
            .collect();
        let user = match &rule.user {
            UserFrom::KeyId => certificate.key_id(),
            UserFrom::Principal(prefix) => {
                let users = others.iter().filter_map(|name| name.strip_prefix(prefix));
                match (users.clone().next(), users.count()) {
                    (Some(user), 1) => user,
                    (_, count) => return Err(CertificateRefusal::User(count)),
                }
            }
        };
        let said = certificate.extensions().get(desk_claims::EXTENSION);
        let (extra, source) = match said.filter(|_| rule.desk) {
            None => (BTreeMap::new(), Source::Certificate),
            Some(text) => DeskClaims::read(text)?,
        };
        Ok(rule.names.identity(user, &groups, extra, source)?)
    }
}

fn restrictions(
    certificate: &Certificate,
    from: IpAddr,
) -> Result<Restrictions, CertificateRefusal> {
    let (mut command, mut verification) = (None, false);
    for (name, value) in certificate.critical_options().iter() {
        match name.as_str() {
            "force-command" if value.is_empty() || value.contains('\0') => {
                return Err(CertificateRefusal::Command);
            }
            "force-command" => command = Some(value.clone()),
            "verify-required" => verification = true,
            "source-address" => {
                let networks =
                    Addresses::networks(value).map_err(|_| CertificateRefusal::Networks)?;
                if !networks.fit(from) {
                    return Err(CertificateRefusal::Address);
                }
            }
            _ => return Err(CertificateRefusal::Critical(name.clone())),
        }
    }
    // Each permission needs its extension. Unknown extensions permit nothing.
    let permits = |name| certificate.extensions().contains_key(name);
    Ok(Restrictions {
        command,
        pty: permits("permit-pty"),
        port_forwarding: permits("permit-port-forwarding"),
        agent_forwarding: permits("permit-agent-forwarding"),
        open: vec![],
        listen: vec![],
        presence: Required {
            touch: !permits("no-touch-required"),
            verification,
        },
        // The largest number is for ever (PROTOCOL.certkeys, valid before).
        expires: (certificate.valid_before() != u64::MAX)
            .then(|| certificate.valid_before_time())
            .flatten(),
    })
}

/// Reads public keys, one a line, as in sshd's TrustedUserCAKeys.
fn read(path: &Path) -> Result<Vec<Fingerprint>, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let lines = text.lines().map(str::trim).zip(1..);
    let keys = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let keys = keys.map(|(line, number)| {
        let key: Result<PublicKey, _> = line.parse();
        let key = key.map_err(|error| error.to_string()).and_then(|key| {
            match strength::weakness(key.key_data()) {
                Some(reason) => Err(reason.to_owned()),
                None => Ok(key.fingerprint(HashAlg::Sha256)),
            }
        });
        key.map_err(|reason| Error::Line {
            path: path.to_owned(),
            number,
            reason,
        })
    });
    let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
    if keys.is_empty() {
        return Err(Error::Empty {
            path: path.to_owned(),
        });
    }
    Ok(keys)
}
