//! Holds a session of SFTP to its rights, request by request, if it has only some of them. What serves the
//! files does the same; this one does not depend on the node.

use bytes::Bytes;
use podgate_proto::v1::files::Protocol;
use podgate_proto::v1::open::Action;
use podgate_proto::v1::{Files, FilesRights};
use podgate_sftp::access::Access;
use podgate_sftp::gate::Gate;

use crate::metrics::Metrics;

/// What a client's bytes pass through.
pub(super) struct FilesGate(Gate);

impl FilesGate {
    /// That of an action; `None` if every byte may pass. A session of scp does one thing, which it has
    /// been allowed.
    pub(super) fn of(action: &Action, rights: FilesRights) -> Option<Self> {
        let Action::Files(Files {
            protocol: Some(Protocol::Sftp(_)),
        }) = action
        else {
            return None;
        };
        let access = match (rights.read, rights.write) {
            (true, true) => return None,
            (true, false) => Access::Read,
            (false, _) => Access::Write,
        };
        Some(Self(Gate::new(access)))
    }

    /// What may go on.
    pub(super) fn pass(&mut self, bytes: &Bytes, metrics: &Metrics) -> Bytes {
        let mut out = Vec::with_capacity(bytes.len());
        let refused = self.0.pass(bytes, &mut out);
        metrics.files.refused.inc_by(refused);
        out.into()
    }

    /// What is left at the end of the client's bytes.
    pub(super) fn rest(&mut self) -> Bytes {
        self.0.rest().into()
    }
}
