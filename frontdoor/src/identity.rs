//! Who acts, as Kubernetes names users. Every way to log in ends in one of these.

use std::collections::BTreeMap;

/// A Kubernetes user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub user: String,
    /// Their groups.
    pub groups: Vec<String>,
    /// What else authorizers may want to know of them (`extra` of authentication.k8s.io UserInfo).
    pub extra: BTreeMap<String, Vec<String>>,
    /// What let them in.
    pub source: Source,
}

/// A way to prove who one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A public key of the users file.
    Key,
    /// An OpenSSH user certificate of a trusted CA.
    Certificate,
    /// One after the other.
    KeyAndCertificate,
    /// A certificate that the signer's desk gave for a token which the API server knew.
    Kubernetes,
    /// The same for an issuer's id token.
    Oidc,
}

impl Source {
    /// Its name in logs, grants and the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Certificate => "certificate",
            Self::KeyAndCertificate => "key+certificate",
            Self::Kubernetes => "kubernetes",
            Self::Oidc => "oidc",
        }
    }

    /// What it takes to log in this way: the desk's certificates are certificates.
    pub fn method(self) -> Self {
        match self {
            Self::Kubernetes | Self::Oidc => Self::Certificate,
            Self::Key | Self::Certificate | Self::KeyAndCertificate => self,
        }
    }
}

#[cfg(test)]
impl Identity {
    /// `ada`, by a key, in these groups.
    pub(crate) fn ada(groups: &[&str]) -> Self {
        Self {
            user: "ada".into(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            extra: BTreeMap::new(),
            source: Source::Key,
        }
    }
}
