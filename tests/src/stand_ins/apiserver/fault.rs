//! The ways in which the API server can break.

/// How the API server treats its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiFault {
    /// Serves.
    #[default]
    None,
    /// The socket is closed: dialling is refused, and open connections are dropped.
    Refused,
    /// Accepts and never answers. Watches that stand go on.
    Silent,
    /// Answers everything with a 500 Status. Watches that stand go on.
    InternalError,
    /// Answers everything with 429. Watches that stand go on.
    TooManyRequests {
        /// In seconds, what `Retry-After` says.
        retry_after: u32,
    },
}
