//! How a session ended.

#[derive(Debug)]
pub(crate) enum End {
    /// The process ended, and the frontdoor was told how.
    Exited(u8),
    /// It was a connection, and both of its directions have ended.
    Closed,
    /// The runtime failed to start it, and the frontdoor was told.
    NotStarted,
    /// Its container is no more, and the frontdoor was told.
    Gone,
    /// The frontdoor went away.
    Abandoned,
    /// The frontdoor broke the protocol, and was told.
    Violated,
    /// The process's output broke off, and the frontdoor was told; or how the process ended is known all
    /// the same, and the frontdoor was told that.
    Broken(Option<u8>),
    /// The agent is being stopped, and the frontdoor was told.
    Stopped,
}

impl End {
    /// Its word in logs, audit events and metrics.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Exited(_) => "exited",
            Self::Closed => "closed",
            Self::NotStarted => "refused",
            Self::Gone => "gone",
            Self::Broken(_) => "broken",
            Self::Stopped => "stopped",
            Self::Abandoned => "abandoned",
            Self::Violated => "violated",
        }
    }

    /// The process's exit status, as far as it is known.
    pub(crate) fn status(&self) -> Option<u8> {
        match self {
            Self::Exited(status) => Some(*status),
            Self::Broken(status) => *status,
            _ => None,
        }
    }

    /// Whether the process has ended, too, so that nothing has to be hung up.
    pub(crate) fn is_over(&self) -> bool {
        matches!(
            self,
            Self::Exited(_) | Self::Closed | Self::NotStarted | Self::Gone
        )
    }
}
