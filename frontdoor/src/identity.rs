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
}

impl Source {
    /// Its name in logs, grants and the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Certificate => "certificate",
            Self::KeyAndCertificate => "key+certificate",
        }
    }
}
