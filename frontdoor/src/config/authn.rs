//! The keys `users`, `authn` and `recheckSeconds` of the configuration: who may log in, by what, and as
//! whom. A login method that could let nobody in is an error.

use std::path::PathBuf;

use podgate_identity::desk_claims::GROUP_PRINCIPAL;
use podgate_identity::{Names, Source};
use podgate_process::config::Invalid;
use serde::Deserialize;

/// Checked ways to log in. Each field is explained in `frontdoor.example.yaml`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Authn {
    pub methods: Vec<Source>,
    pub users: Option<PathBuf>,
    pub keys: Names,
    pub certificates: Vec<Certificates>,
    pub revoked: Option<PathBuf>,
    pub revoked_on_failure: OnFailure,
}

/// What happens while the revocation list cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnFailure {
    /// Nobody logs in, as in sshd. Running sessions go on.
    #[default]
    Deny,
    /// The last good version stays in force.
    Last,
}

/// CAs whose certificates are read by the same rule.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Certificates {
    pub authorities: PathBuf,
    /// Whether the file may be missing at first. Until it is there, there is no CA.
    pub optional: bool,
    pub user: UserFrom,
    pub group_principal: String,
    /// Whether these CAs are a desk's, whose certificates say more than names.
    pub desk: bool,
    pub names: Names,
}

/// Where a certificate has its user's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserFrom {
    /// The key id is the name.
    KeyId,
    /// The rest of the one principal that begins with this and does not name a group.
    Principal(String),
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    methods: Option<Vec<String>>,
    keys: NamesFile,
    certificates: Vec<CertificatesFile>,
    revoked: Option<PathBuf>,
    revoked_on_failure: OnFailure,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct NamesFile {
    user_prefix: String,
    group_prefix: String,
    trust_system: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CertificatesFile {
    authorities: PathBuf,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    user_from: UserFromFile,
    #[serde(default)]
    user_principal: String,
    #[serde(default = "default_group_principal")]
    group_principal: String,
    #[serde(default)]
    desk: bool,
    #[serde(default)]
    user_prefix: String,
    #[serde(default)]
    group_prefix: String,
    #[serde(default)]
    trust_system: bool,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum UserFromFile {
    #[default]
    KeyId,
    Principal,
}

fn default_group_principal() -> String {
    GROUP_PRINCIPAL.to_owned()
}

impl File {
    /// Checks the section together with `users`. An error names the key.
    pub(super) fn check(self, users: Option<PathBuf>) -> Result<Authn, Invalid> {
        let certificates: Vec<_> = self
            .certificates
            .into_iter()
            .map(CertificatesFile::check)
            .collect::<Result<_, _>>()?;
        if users.is_none() && certificates.is_empty() {
            let reason = "absent, and so is authn.certificates: nobody could log in".to_owned();
            return Err(Invalid::new("users", reason));
        }
        let there = |source: Source| match source.method() {
            Source::Key => users.is_some(),
            Source::Certificate | Source::Kubernetes | Source::Oidc => !certificates.is_empty(),
            Source::KeyAndCertificate => users.is_some() && !certificates.is_empty(),
        };
        let methods = match self.methods {
            None => [Source::Key, Source::Certificate]
                .into_iter()
                .filter(|&source| there(source))
                .collect(),
            Some(words) => {
                let mut methods = Vec::new();
                for word in words {
                    let source = source(&word)
                        .ok_or_else(|| format!("{word:?} is not a way to log in"))
                        .and_then(|source| {
                            there(source).then_some(source).ok_or_else(|| {
                                format!("{word} needs users or authn.certificates, which is absent")
                            })
                        });
                    methods.push(source.map_err(|reason| Invalid::new("authn.methods", reason))?);
                }
                methods
            }
        };
        if methods.is_empty() {
            return Err(Invalid::new("authn.methods", "is empty"));
        }
        Ok(Authn {
            methods,
            users,
            keys: Names {
                user_prefix: self.keys.user_prefix,
                group_prefix: self.keys.group_prefix,
                trust_system: self.keys.trust_system,
            },
            certificates,
            revoked: self.revoked,
            revoked_on_failure: self.revoked_on_failure,
        })
    }
}

impl CertificatesFile {
    fn check(self) -> Result<Certificates, Invalid> {
        let user = match self.user_from {
            UserFromFile::KeyId if !self.user_principal.is_empty() => {
                let reason = "needs userFrom: principal".to_owned();
                return Err(Invalid::new("authn.certificates.userPrincipal", reason));
            }
            UserFromFile::KeyId => UserFrom::KeyId,
            UserFromFile::Principal => UserFrom::Principal(self.user_principal),
        };
        // With an empty prefix every principal would be a group, even the user's own name.
        if self.group_principal.is_empty() {
            let reason = "is empty; give the prefix of the groups' principals".to_owned();
            return Err(Invalid::new("authn.certificates.groupPrincipal", reason));
        }
        Ok(Certificates {
            authorities: self.authorities,
            optional: self.optional,
            user,
            group_principal: self.group_principal,
            desk: self.desk,
            names: Names {
                user_prefix: self.user_prefix,
                group_prefix: self.group_prefix,
                trust_system: self.trust_system,
            },
        })
    }
}

fn source(word: &str) -> Option<Source> {
    [Source::Key, Source::Certificate, Source::KeyAndCertificate]
        .into_iter()
        .find(|source| source.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str, users: bool) -> Result<Authn, String> {
        let file: File = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        file.check(users.then(|| "/users".into()))
            .map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn a_source_that_is_there_lets_in_by_itself() {
        const CA: &str = "certificates: [{authorities: /ca}]";
        let methods = |yaml, users| check(yaml, users).unwrap().methods;
        assert_eq!(methods("{}", true), [Source::Key]);
        assert_eq!(methods(CA, false), [Source::Certificate]);
        assert_eq!(methods(CA, true), [Source::Key, Source::Certificate]);
        assert_eq!(
            methods(&format!("{CA}\nmethods: [key+certificate]"), true),
            [Source::KeyAndCertificate]
        );
        let by_key_id = &check(CA, false).unwrap().certificates;
        assert!(by_key_id.iter().all(|rule| rule.user == UserFrom::KeyId));
    }

    #[test]
    fn what_lets_nobody_in_is_named() {
        let error = |yaml: &str, users, expect: &str| {
            let error = check(yaml, users).err().unwrap_or_default();
            assert!(error.contains(expect), "{yaml:?} gave {error:?}");
        };
        error("{}", false, "users: absent");
        error("methods: []", true, "authn.methods: is empty");
        error("methods: [password]", true, "\"password\" is not a way");
        error("methods: [certificate]", true, "certificate needs");
        error("methods: [key+certificate]", true, "key+certificate needs");
        error("certificates: [{authority: /ca}]", true, "authority");
        let rule = |rest: &str| format!("certificates: [{{authorities: /ca, {rest}}}]");
        error(&rule("userFrom: comment"), true, "comment");
        error(&rule("userPrincipal: 'user:'"), true, "userPrincipal");
        error(&rule("groupPrincipal: ''"), true, "groupPrincipal");
        error("revokedOnFailure: panic", true, "revokedOnFailure");
    }
}
