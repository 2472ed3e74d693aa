//! What a session may do, within what the container's user may do: everything, or only one half of it.

use podgate_sftp::request::{Extended, Request};

/// What a session may do with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    ReadAndWrite,
    /// Read, list and look at them.
    Read,
    /// Change them, and look at them.
    Write,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing that some session lacks: looking at a file's attributes and path.
    Look,
    Read,
    Write,
    Both,
}

impl Access {
    /// Whether this session may make this request.
    pub(crate) fn allows(self, request: &Request<'_>) -> bool {
        match (self, need(request)) {
            (_, Need::Look) | (Self::ReadAndWrite, _) => true,
            (Self::Read, need) => need == Need::Read,
            (Self::Write, need) => need == Need::Write,
        }
    }
}

fn need(request: &Request<'_>) -> Need {
    match request {
        Request::Open { flags, .. } => match (flags.read(), flags.changes()) {
            (true, true) => Need::Both,
            (_, false) => Need::Read,
            (false, true) => Need::Write,
        },
        Request::OpenFolder { .. } | Request::ReadLink { .. } => Need::Read,
        Request::SetStat { .. }
        | Request::FileSetStat { .. }
        | Request::Remove { .. }
        | Request::MakeFolder { .. }
        | Request::RemoveFolder { .. }
        | Request::Rename { .. }
        | Request::SymbolicLink { .. } => Need::Write,
        // What a handle allows was decided when it was opened.
        Request::Close { .. }
        | Request::Read { .. }
        | Request::Write { .. }
        | Request::ReadFolder { .. }
        | Request::LinkStat { .. }
        | Request::FileStat { .. }
        | Request::RealPath { .. }
        | Request::Stat { .. }
        | Request::Unknown(_) => Need::Look,
        Request::Extended(extended) => match extended {
            Extended::PosixRename { .. }
            | Extended::HardLink { .. }
            | Extended::LinkSetStat { .. } => Need::Write,
            Extended::CopyData(_) => Need::Both,
            Extended::StatVfs { .. }
            | Extended::FileStatVfs { .. }
            | Extended::FileSync { .. }
            | Extended::Limits
            | Extended::ExpandPath { .. }
            | Extended::HomeDirectory { .. }
            | Extended::Names { .. }
            | Extended::Unknown => Need::Look,
        },
    }
}
