//! How a session ended: for the log, the metrics, the audit log and the user.

/// How a program ended.
#[derive(Debug, Default)]
pub(super) struct Exit {
    /// 128 and the signal's number, if one has ended it.
    pub(super) status: u32,
    /// What ended it, by its name in SSH, where the agent knows that.
    pub(super) signal: Option<String>,
    pub(super) core_dumped: bool,
}

#[derive(Debug)]
pub(super) enum End {
    /// Its program ended.
    Exited(Exit),
    /// It was a connection, and both of its directions have ended.
    Closed,
    /// The client closed the channel or went away.
    ClientGone,
    /// It could not begin or go on.
    Failed(String),
    /// The frontdoor is being stopped.
    Stopped(String),
    /// No byte moved for as long as the configuration allows.
    Idle(String),
    /// The login, or the right to enter the pod, does not hold any more.
    Revoked(String),
}

impl End {
    /// Its word in logs and metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Exited(_) => "exited",
            Self::Closed => "closed",
            Self::ClientGone => "client_gone",
            Self::Failed(_) => "failed",
            Self::Stopped(_) => "stopped",
            Self::Revoked(_) => "revoked",
            Self::Idle(_) => "idle",
        }
    }

    /// The status of its program.
    pub(super) fn status(&self) -> Option<u32> {
        match self {
            Self::Exited(exit) => Some(exit.status),
            _ => None,
        }
    }

    /// The line that its user reads.
    pub(super) fn line(&self) -> Option<&str> {
        match self {
            Self::Exited(_) | Self::Closed | Self::ClientGone => None,
            Self::Failed(line) | Self::Stopped(line) | Self::Idle(line) | Self::Revoked(line) => {
                Some(line)
            }
        }
    }
}
