//! Login names that mean no pod.

/// What `help` prints: the grammar and its table of examples, each row of which a test holds.
pub(crate) const HELP: &str = include_str!("help.txt");

/// A word to the frontdoor itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserved {
    /// Prints the grammar.
    Help,
    /// Prints who the user is here, and what says so.
    WhoAmI,
    /// Lists the pods that the user may enter.
    Pods,
}

impl Reserved {
    const ALL: [Self; 3] = [Self::Help, Self::WhoAmI, Self::Pods];

    /// The one of this name.
    pub(super) fn named(login: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.as_str() == login)
    }

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Help => "help",
            Self::WhoAmI => "whoami",
            Self::Pods => "pods",
        }
    }
}
