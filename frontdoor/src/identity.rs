//! Who acts, as Kubernetes names users. Every way to log in ends in one of these.

/// A Kubernetes user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub user: String,
    /// Their groups.
    pub groups: Vec<String>,
    /// What let them in.
    pub source: Source,
}

/// A way to prove who one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A public key of the users file.
    Key,
}

impl Source {
    /// Its name in logs and grants.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
        }
    }
}
