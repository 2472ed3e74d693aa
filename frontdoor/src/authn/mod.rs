//! Authentication: credentials become an [`Identity`] and restrictions, or are refused. Login and
//! recheck use the same rules, so a login holds only while it would be let in again.

pub(crate) mod certificates;
pub(crate) mod keys;
pub(crate) mod login;
pub(crate) mod options;
pub(crate) mod presence;
mod refusal;
pub(crate) mod restrictions;
pub(crate) mod revoked;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::join_all;
use podgate_identity::{Identity, Source, strength};
use russh::keys::{Algorithm, HashAlg, PublicKey};

use crate::config::{Authn, OnFailure};
use certificates::Certificates;
use keys::Users;
pub(crate) use login::{Credential, Login, Proof, Verdict};
pub(crate) use refusal::Refusal;
use restrictions::Restrictions;
use revoked::Revoked;

/// Why authentication cannot start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("users: {0}")]
    Users(#[from] keys::Error),
    #[error("authn.certificates.authorities: {0}")]
    Certificates(#[from] certificates::Error),
    #[error("authn.revoked: {0}")]
    Revoked(#[from] revoked::Error),
}

/// Decides who may log in. All cores share one.
#[derive(Debug)]
pub(crate) struct Authenticator {
    methods: Vec<Source>,
    users: Option<Users>,
    certificates: Vec<Certificates>,
    revoked: Option<Revoked>,
    revoked_on_failure: OnFailure,
}

impl Authenticator {
    /// Reads all files for the first time.
    pub(crate) fn load(config: &Authn) -> Result<Self, Error> {
        let users = config.users.clone();
        let users = users.map(|path| Users::load(path, config.keys.clone()));
        let certificates = config.certificates.iter().cloned().map(Certificates::load);
        Ok(Self {
            methods: config.methods.clone(),
            users: users.transpose()?,
            certificates: certificates.collect::<Result<_, _>>()?,
            revoked: config.revoked.clone().map(Revoked::load).transpose()?,
            revoked_on_failure: config.revoked_on_failure,
        })
    }

    /// Checks all files. Later answers use the files as they are now. If their file system stalls, they
    /// use the last version.
    pub(crate) async fn refresh(&self) {
        let users = async {
            if let Some(users) = &self.users {
                users.refresh().await;
            }
        };
        let revoked = async {
            if let Some(revoked) = &self.revoked {
                revoked.refresh().await;
            }
        };
        let certificates = join_all(self.certificates.iter().map(Certificates::refresh));
        tokio::join!(users, revoked, certificates);
    }

    /// How many files cannot be read now, so that an earlier version is in force.
    pub(crate) fn stale(&self) -> usize {
        let certificates = self.certificates.iter().filter(|source| source.is_stale());
        let revoked = self.revoked.as_ref().is_some_and(Revoked::is_stale);
        let users = self.users.as_ref().map_or(0, Users::stale);
        users + certificates.count() + usize::from(revoked)
    }

    /// Whether nobody may log in, because the revocation list cannot be read now.
    fn is_blind(&self) -> bool {
        self.revoked_on_failure == OnFailure::Deny
            && self.revoked.as_ref().is_some_and(Revoked::is_stale)
    }

    /// Whether the client should sign with this key, by `algorithm`. For a certificate russh shows only
    /// its key, so if CAs are configured, any key may belong to one.
    pub(crate) fn offered(&self, key: &PublicKey, algorithm: &Algorithm, from: IpAddr) -> bool {
        if !strength::signs(algorithm) || strength::weakness(key.key_data()).is_some() {
            return false;
        }
        if !self.certificates.is_empty() {
            return true;
        }
        match self.judge_key(key, from, SystemTime::now()) {
            Ok(_) => true,
            Err(Refusal::Key(keys::KeyRefusal::Unknown)) => false,
            Err(reason) => {
                let key = key.fingerprint(HashAlg::Sha256);
                tracing::info!(%key, %reason, %from, "a known key is refused");
                false
            }
        }
    }

    /// Decides about a credential that was just proved. `earlier` were proved before, and did not
    /// suffice.
    pub(crate) fn verified(
        &self,
        credential: Credential,
        earlier: &[Credential],
        from: IpAddr,
    ) -> Verdict {
        if self.is_blind() {
            return Verdict::Refused(Refusal::NoList);
        }
        let now = SystemTime::now();
        let two = self.methods.contains(&Source::KeyAndCertificate);
        let mut credentials = vec![credential];
        let mut decided = self.decide(&credentials, from, now);
        if two && matches!(decided, Err(Refusal::Method)) {
            if earlier.is_empty() {
                return Verdict::Partial(credentials);
            }
            credentials.splice(..0, earlier.iter().cloned());
            decided = self.decide(&credentials, from, now);
        }
        match decided {
            Err(refusal) => Verdict::Refused(refusal),
            Ok((identity, restrictions)) => {
                let (identity, restrictions) = (Arc::new(identity), Arc::new(restrictions));
                let proof = Proof {
                    credentials,
                    from,
                    identity: Arc::clone(&identity),
                    restrictions: Arc::clone(&restrictions),
                };
                Verdict::Login(Login {
                    identity,
                    restrictions,
                    proof,
                })
            }
        }
    }

    /// Whether the proof would still let in the same user, without losing a group or a permission.
    /// While the revocation list cannot be read, the last good one is used: nobody's session ends
    /// because of that.
    pub(crate) fn holds(&self, proof: &Proof) -> bool {
        let decided = self.decide(&proof.credentials, proof.from, SystemTime::now());
        decided.is_ok_and(|(identity, restrictions)| {
            let then = &proof.identity;
            identity.user == then.user
                && then.groups.iter().all(|g| identity.groups.contains(g))
                && identity.extra == then.extra
                && restrictions == *proof.restrictions
        })
    }

    /// Decides about all credentials of a login together.
    fn decide(
        &self,
        credentials: &[Credential],
        from: IpAddr,
        now: SystemTime,
    ) -> Result<(Identity, Restrictions), Refusal> {
        let mut all: Option<(Identity, Restrictions)> = None;
        for credential in credentials {
            let one = self.judge(credential, from, now)?;
            credential.check_presence(one.1.presence)?;
            all = Some(match all {
                None => one,
                Some(before) => both(before, one)?,
            });
        }
        all.filter(|(identity, _)| self.methods.contains(&identity.source.method()))
            .ok_or(Refusal::Method)
    }

    fn judge(
        &self,
        credential: &Credential,
        from: IpAddr,
        now: SystemTime,
    ) -> Result<(Identity, Restrictions), Refusal> {
        match credential {
            Credential::Key(key, _) => self.judge_key(key, from, now),
            Credential::Certificate(certificate, _) => {
                if self.is_revoked(|list| list.certificate(certificate)) {
                    return Err(Refusal::Revoked);
                }
                let mut why = certificates::CertificateRefusal::Authority;
                for source in &self.certificates {
                    match source.find(certificate, from, now) {
                        Ok(found) => return Ok(found),
                        // Another configured source may trust its CA.
                        Err(certificates::CertificateRefusal::Authority) => {}
                        Err(refusal) => why = refusal,
                    }
                }
                Err(why.into())
            }
        }
    }

    fn judge_key(
        &self,
        key: &PublicKey,
        from: IpAddr,
        now: SystemTime,
    ) -> Result<(Identity, Restrictions), Refusal> {
        if self.is_revoked(|list| list.key(key.key_data())) {
            return Err(Refusal::Revoked);
        }
        let users = self.users.as_ref().ok_or(keys::KeyRefusal::Unknown)?;
        Ok(users.find(key, from, now)?)
    }

    fn is_revoked(&self, on: impl FnOnce(&Revoked) -> bool) -> bool {
        self.revoked.as_ref().is_some_and(on)
    }
}

/// A key and a certificate of the same user.
fn both(
    (before, allowed): (Identity, Restrictions),
    (identity, restrictions): (Identity, Restrictions),
) -> Result<(Identity, Restrictions), Refusal> {
    if before.source.method() == identity.source.method() {
        return Err(Refusal::Again);
    }
    if before.user != identity.user {
        return Err(Refusal::Other(identity.user));
    }
    let mut all = before;
    all.source = Source::KeyAndCertificate;
    for group in identity.groups {
        if !all.groups.contains(&group) {
            all.groups.push(group);
        }
    }
    for (key, values) in identity.extra {
        all.extra.entry(key).or_default().extend(values);
    }
    let restrictions = allowed.and(restrictions).ok_or(Refusal::Command)?;
    Ok((all, restrictions))
}
