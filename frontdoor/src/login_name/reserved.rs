//! Login names that are reserved: they name no pod.

/// The text that `help` prints: the grammar, and a table of examples that a test checks row by row.
pub(crate) const HELP: &str = include_str!("help.txt");

/// A request to the frontdoor itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reserved {
    /// Prints the grammar.
    Help,
    /// Prints who the user is here, and how the frontdoor knows.
    WhoAmI,
    /// Lists the pods that the user may enter.
    Pods,
    /// Does what the command says: so far, with recordings.
    Podgate,
}

impl Reserved {
    const ALL: [Self; 4] = [Self::Help, Self::WhoAmI, Self::Pods, Self::Podgate];

    /// The reserved name that this is, if it is one.
    pub(super) fn named(login: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.as_str() == login)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Help => "help",
            Self::WhoAmI => "whoami",
            Self::Pods => "pods",
            Self::Podgate => "podgate",
        }
    }
}
