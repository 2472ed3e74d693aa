//! What a client sends (draft-ietf-secsh-filexfer-02 §6, OpenSSH's PROTOCOL §4).

use crate::attributes::Attributes;
use crate::limits::REFUSED;
use crate::wire::{Error, Fields};

/// How a file is opened: the flags of SSH_FXP_OPEN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFlags(pub(crate) u32);

impl OpenFlags {
    /// To read it.
    pub fn read(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether it can be read then: what is opened neither to be read nor to be written is opened by
    /// open(2) to be read.
    pub fn reads(self) -> bool {
        self.read() || !self.write()
    }

    /// To write it.
    pub fn write(self) -> bool {
        self.0 & 2 != 0
    }

    /// What is written goes to its end.
    pub fn append(self) -> bool {
        self.0 & 4 != 0
    }

    /// It is made where it is missing.
    pub fn create(self) -> bool {
        self.0 & 8 != 0
    }

    /// It is emptied.
    pub fn truncate(self) -> bool {
        self.0 & 16 != 0
    }

    /// With [`create`](Self::create): it must not be there.
    pub fn exclusive(self) -> bool {
        self.0 & 32 != 0
    }

    /// Whether it changes anything.
    pub fn changes(self) -> bool {
        self.write() || self.append() || self.create() || self.truncate()
    }
}

/// A message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The first one: the version that it speaks.
    Init(u32),
    /// A request, and the number that its reply must have.
    Request(u32, Request<'a>),
}

/// What a client asks for. A path is relative to the folder that the session starts in; a handle is
/// what the server answered when it opened a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the draft's own")]
pub enum Request<'a> {
    Open {
        path: &'a [u8],
        flags: OpenFlags,
        attributes: Attributes,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        data: &'a [u8],
    },
    /// If the path is a link, the question is about the link itself.
    LinkStat {
        path: &'a [u8],
    },
    FileStat {
        handle: &'a [u8],
    },
    SetStat {
        path: &'a [u8],
        attributes: Attributes,
    },
    FileSetStat {
        handle: &'a [u8],
        attributes: Attributes,
    },
    OpenFolder {
        path: &'a [u8],
    },
    ReadFolder {
        handle: &'a [u8],
    },
    Remove {
        path: &'a [u8],
    },
    MakeFolder {
        path: &'a [u8],
        attributes: Attributes,
    },
    RemoveFolder {
        path: &'a [u8],
    },
    RealPath {
        path: &'a [u8],
    },
    Stat {
        path: &'a [u8],
    },
    /// Fails if the new path is there.
    Rename {
        from: &'a [u8],
        to: &'a [u8],
    },
    ReadLink {
        path: &'a [u8],
    },
    /// The arguments are in the order that OpenSSH has, which is not the draft's.
    SymbolicLink {
        target: &'a [u8],
        link: &'a [u8],
    },
    Extended(Extended<'a>),
    /// On its way the request was found to be beyond the session's rights.
    Refused,
    /// A type of message that version 3 does not have.
    Unknown(u8),
}

/// A request of OpenSSH's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are OpenSSH's own")]
pub enum Extended<'a> {
    /// Replaces what is at the new path.
    PosixRename {
        from: &'a [u8],
        to: &'a [u8],
    },
    StatVfs {
        path: &'a [u8],
    },
    FileStatVfs {
        handle: &'a [u8],
    },
    HardLink {
        from: &'a [u8],
        to: &'a [u8],
    },
    FileSync {
        handle: &'a [u8],
    },
    LinkSetStat {
        path: &'a [u8],
        attributes: Attributes,
    },
    Limits,
    ExpandPath {
        path: &'a [u8],
    },
    CopyData(CopyData<'a>),
    /// Of this user; of the session's own where it is empty.
    HomeDirectory {
        user: &'a [u8],
    },
    /// The names of users and groups: numbers of 4 bytes, one after the other.
    Names {
        users: &'a [u8],
        groups: &'a [u8],
    },
    Unknown,
}

/// A copy from one open file to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the draft's own")]
pub struct CopyData<'a> {
    pub from: &'a [u8],
    pub from_offset: u64,
    /// 0: up to the end of the file.
    pub length: u64,
    pub to: &'a [u8],
    pub to_offset: u64,
}

impl<'a> Message<'a> {
    /// Reads a message, as [`frame::first`](crate::frame::first) gives it. What follows its last field
    /// is left out, as OpenSSH does.
    pub fn read(message: &'a [u8]) -> Result<Self, Error> {
        let mut fields = Fields(message);
        let kind = fields.u8()?;
        let number = fields.u32()?;
        if kind == 1 {
            return Ok(Self::Init(number));
        }
        Ok(Self::Request(number, Request::take(kind, &mut fields)?))
    }
}

impl<'a> Request<'a> {
    fn take(kind: u8, fields: &mut Fields<'a>) -> Result<Self, Error> {
        Ok(match kind {
            3 => Self::Open {
                path: fields.string()?,
                flags: OpenFlags(fields.u32()?),
                attributes: Attributes::take(fields)?,
            },
            4 => Self::Close {
                handle: fields.string()?,
            },
            5 => Self::Read {
                handle: fields.string()?,
                offset: fields.u64()?,
                length: fields.u32()?,
            },
            6 => Self::Write {
                handle: fields.string()?,
                offset: fields.u64()?,
                data: fields.string()?,
            },
            7 => Self::LinkStat {
                path: fields.string()?,
            },
            8 => Self::FileStat {
                handle: fields.string()?,
            },
            9 => Self::SetStat {
                path: fields.string()?,
                attributes: Attributes::take(fields)?,
            },
            10 => Self::FileSetStat {
                handle: fields.string()?,
                attributes: Attributes::take(fields)?,
            },
            11 => Self::OpenFolder {
                path: fields.string()?,
            },
            12 => Self::ReadFolder {
                handle: fields.string()?,
            },
            13 => Self::Remove {
                path: fields.string()?,
            },
            14 => Self::MakeFolder {
                path: fields.string()?,
                attributes: Attributes::take(fields)?,
            },
            15 => Self::RemoveFolder {
                path: fields.string()?,
            },
            16 => Self::RealPath {
                path: fields.string()?,
            },
            17 => Self::Stat {
                path: fields.string()?,
            },
            18 => Self::Rename {
                from: fields.string()?,
                to: fields.string()?,
            },
            19 => Self::ReadLink {
                path: fields.string()?,
            },
            20 => Self::SymbolicLink {
                target: fields.string()?,
                link: fields.string()?,
            },
            200 => Self::Extended(Extended::take(fields)?),
            REFUSED => Self::Refused,
            other => Self::Unknown(other),
        })
    }
}

impl<'a> Extended<'a> {
    fn take(fields: &mut Fields<'a>) -> Result<Self, Error> {
        Ok(match fields.string()? {
            b"posix-rename@openssh.com" => Self::PosixRename {
                from: fields.string()?,
                to: fields.string()?,
            },
            b"statvfs@openssh.com" => Self::StatVfs {
                path: fields.string()?,
            },
            b"fstatvfs@openssh.com" => Self::FileStatVfs {
                handle: fields.string()?,
            },
            b"hardlink@openssh.com" => Self::HardLink {
                from: fields.string()?,
                to: fields.string()?,
            },
            b"fsync@openssh.com" => Self::FileSync {
                handle: fields.string()?,
            },
            b"lsetstat@openssh.com" => Self::LinkSetStat {
                path: fields.string()?,
                attributes: Attributes::take(fields)?,
            },
            b"limits@openssh.com" => Self::Limits,
            b"expand-path@openssh.com" => Self::ExpandPath {
                path: fields.string()?,
            },
            b"copy-data" => Self::CopyData(CopyData {
                from: fields.string()?,
                from_offset: fields.u64()?,
                length: fields.u64()?,
                to: fields.string()?,
                to_offset: fields.u64()?,
            }),
            b"home-directory" => Self::HomeDirectory {
                user: fields.string()?,
            },
            b"users-groups-by-id@openssh.com" => Self::Names {
                users: fields.string()?,
                groups: fields.string()?,
            },
            _ => Self::Unknown,
        })
    }
}

/// The extensions that [`Extended`] knows, and their versions, as SSH_FXP_VERSION tells them.
pub const EXTENSIONS: [(&str, &str); 11] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("copy-data", "1"),
    ("home-directory", "1"),
    ("users-groups-by-id@openssh.com", "1"),
];

#[cfg(test)]
mod tests;
