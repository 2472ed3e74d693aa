//! Who acts, as Kubernetes names users. Every way to log in ends in an [`Identity`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A Kubernetes user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user's name.
    pub user: String,
    /// Their groups.
    pub groups: Vec<String>,
    /// More about them, for authorizers (`extra` of authentication.k8s.io UserInfo).
    pub extra: BTreeMap<String, Vec<String>>,
    /// How they proved who they are.
    pub source: Source,
}

/// A way to prove who one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A public key of the users file.
    Key,
    /// An OpenSSH user certificate of a trusted CA.
    Certificate,
    /// Both, one after the other.
    #[serde(rename = "key+certificate")]
    KeyAndCertificate,
    /// A certificate from the signer's desk, for a token that the API server vouched for.
    Kubernetes,
    /// A certificate from the signer's desk, for an id token of an OIDC issuer.
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

    /// The login method that it counts as: a certificate from the desk is a certificate.
    pub fn method(self) -> Self {
        match self {
            Self::Kubernetes | Self::Oidc => Self::Certificate,
            Self::Key | Self::Certificate | Self::KeyAndCertificate => self,
        }
    }
}
