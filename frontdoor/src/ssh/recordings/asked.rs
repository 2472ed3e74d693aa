//! Who asks about recordings, and how.

use podgate_identity::Identity;

use crate::ssh::client::Client;

/// A user, and the session in which the command was given.
pub(in crate::ssh) struct Asked<'a> {
    pub(in crate::ssh) client: &'a Client,
    pub(in crate::ssh) identity: &'a Identity,
    /// The session's name in the audit log.
    pub(in crate::ssh) session: &'a str,
    /// Whether the session has a terminal.
    pub(in crate::ssh) tty: bool,
}
