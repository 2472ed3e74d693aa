//! What refused a session, in the words of the audit log's field `by`.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusedBy {
    /// Kubernetes said no, or could not be asked.
    Authorization,
    /// A rule of the frontdoor.
    Rule,
    /// The target names nothing, or nothing that runs.
    Route,
    /// A limit of the frontdoor.
    Limit,
    /// A restriction of the login.
    Restriction,
    /// The audit log cannot be written.
    Audit,
    /// The session must be recorded and cannot be.
    Recording,
    /// The session ended before it began; this is the outcome of its end.
    End(&'static str),
}

impl RefusedBy {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Rule => "rule",
            Self::Route => "route",
            Self::Limit => "limit",
            Self::Restriction => "restriction",
            Self::Audit => "audit",
            Self::Recording => "recording",
            Self::End(word) => word,
        }
    }
}
