//! Why a connection or a listener in a pod does not stand.

use podgate_proto::v1::failed::Reason;
use russh::ChannelOpenFailure;

use super::{client::Client, open};
use crate::audit::RefusedBy;

/// Why it does not stand, for the client and for the records.
pub(super) struct Refused {
    pub(super) code: ChannelOpenFailure,
    pub(super) line: String,
    /// `None` if nobody refused it, but it failed.
    pub(super) by: Option<RefusedBy>,
}

impl Refused {
    pub(super) fn by(by: RefusedBy, line: impl ToString) -> Self {
        let code = match by {
            RefusedBy::Limit => ChannelOpenFailure::ResourceShortage,
            RefusedBy::Restriction | RefusedBy::Rule => {
                ChannelOpenFailure::AdministrativelyProhibited
            }
            // A pod that one may not enter looks like one that is not there.
            _ => ChannelOpenFailure::ConnectFailed,
        };
        let (line, by) = (line.to_string(), Some(by));
        Self { code, line, by }
    }

    pub(super) fn failed(code: ChannelOpenFailure, line: impl ToString) -> Self {
        let (line, by) = (line.to_string(), None);
        Self { code, line, by }
    }

    /// As the agent says it.
    pub(super) fn agent(reason: Reason, line: String) -> Self {
        let code = match reason {
            Reason::Denied | Reason::Grant | Reason::Unsupported => {
                ChannelOpenFailure::AdministrativelyProhibited
            }
            Reason::Full => ChannelOpenFailure::ResourceShortage,
            _ => ChannelOpenFailure::ConnectFailed,
        };
        Self::failed(code, line)
    }

    /// A step on the way to the pod.
    pub(super) fn step(error: &open::Error, client: &Client) -> Self {
        if let Some(limit) = error.limit() {
            client.refused(limit);
        }
        let line = open::sentence(error);
        match error.refused_by() {
            Some(by) => Self::by(by, line),
            None => Self::failed(ChannelOpenFailure::ConnectFailed, line),
        }
    }
}
