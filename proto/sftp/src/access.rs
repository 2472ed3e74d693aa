//! What a session may do, within what the container's user may do: everything, or only one half of it.

use crate::limits::REFUSED;
use crate::request::{Extended, Request};

/// What a session may do with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// All of it.
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
    pub fn allows(self, request: &Request<'_>) -> bool {
        match (self, need(request)) {
            (_, Need::Look) | (Self::ReadAndWrite, _) => true,
            (Self::Read, need) => need == Need::Read,
            (Self::Write, need) => need == Need::Write,
        }
    }
}

/// Whether everybody may make a request of this type, so that nothing but the type need be known of it.
/// An extension's name says what it is, and is not looked at here.
pub(crate) fn is_free(kind: u8) -> bool {
    // INIT, CLOSE, READ, WRITE, LSTAT, FSTAT, READDIR, REALPATH, STAT.
    matches!(kind, 1 | 4..=8 | 12 | 16 | 17 | REFUSED)
}

fn need(request: &Request<'_>) -> Need {
    match request {
        // What is opened for neither is opened for reading, as by open(2).
        Request::Open { flags, .. } => match (flags.reads(), flags.changes()) {
            (true, true) => Need::Both,
            (true, false) => Need::Read,
            (false, _) => Need::Write,
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
        | Request::Refused
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Message;

    #[test]
    fn whoever_may_only_write_opens_nothing_that_can_be_read() {
        for flags in 0..64u32 {
            let path = [&2u32.to_be_bytes()[..], b"/a"].concat();
            let rest = [&path[..], &flags.to_be_bytes(), &[0; 4]].concat();
            let message = [&[3][..], &1u32.to_be_bytes(), &rest].concat();
            let Ok(Message::Request(_, request)) = Message::read(&message) else {
                panic!("{flags}");
            };
            let (read, write) = (flags & 1 != 0, flags & 2 != 0);
            let changes = flags & 0b11110 != 0;
            assert!(Access::ReadAndWrite.allows(&request));
            assert_eq!(Access::Write.allows(&request), write && !read, "{flags}");
            assert_eq!(Access::Read.allows(&request), !changes, "{flags}");
        }
    }

    /// The list of types says the same as the requests do.
    #[test]
    fn what_is_free_needs_nothing() {
        for kind in 0..=u8::MAX {
            if kind == 1 || kind == 200 {
                continue;
            }
            // Enough of everything for every request's fields.
            let message = [&[kind][..], &[0; 200]].concat();
            let Ok(Message::Request(_, request)) = Message::read(&message) else {
                panic!("{kind}");
            };
            let looks = need(&request) == Need::Look;
            let unknown = matches!(request, Request::Unknown(_));
            assert_eq!(is_free(kind), looks && !unknown, "{kind}");
        }
    }
}
