//! What a server answers (draft-ietf-secsh-filexfer-02 §7). Each is appended with its length in front.

use bytes::BufMut;

use crate::attributes::Attributes;
use crate::frame::LENGTH;
use crate::limits::VERSION;
use crate::request::EXTENSIONS;
use crate::wire::put_string;

/// Codes of SSH_FXP_STATUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the draft's own")]
pub enum Code {
    Ok = 0,
    Eof = 1,
    NoSuchFile = 2,
    PermissionDenied = 3,
    Failure = 4,
    BadMessage = 5,
    Unsupported = 8,
}

/// A file's name, in an answer to a request for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its name.
    pub name: Vec<u8>,
    /// A line as `ls -l` has it.
    pub long: Vec<u8>,
    /// Its attributes.
    pub attributes: Attributes,
}

/// A filesystem's figures, as statvfs(3) has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are statvfs's own")]
pub struct StatVfs {
    pub bsize: u64,
    pub frsize: u64,
    pub blocks: u64,
    pub bfree: u64,
    pub bavail: u64,
    pub files: u64,
    pub ffree: u64,
    pub favail: u64,
    pub fsid: u64,
    /// 1: read-only; 2: set-user-id bits count for nothing.
    pub flag: u64,
    pub namemax: u64,
}

/// A server's answer.
#[derive(Clone, Copy, Debug)]
pub enum Reply<'a> {
    /// To the client's first message.
    Version,
    /// How a request ended, and words for the user.
    Status(Code, &'a str),
    /// What was opened.
    Handle(&'a [u8]),
    /// Names.
    Names(&'a [Name]),
    /// Attributes.
    Attributes(Attributes),
    /// A filesystem's figures.
    StatVfs(StatVfs),
    /// The longest message, read and write, in bytes, and the most handles.
    Limits([u64; 4]),
    /// Names of users and of groups; empty where there is none.
    Owners(&'a [Vec<u8>], &'a [Vec<u8>]),
}

impl Reply<'_> {
    /// Appends the reply to the request of this number.
    pub fn put(&self, number: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_u32(0);
        out.put_u8(self.kind());
        match self {
            Self::Version => {
                out.put_u32(VERSION);
                for (name, version) in EXTENSIONS {
                    put_string(out, name.as_bytes());
                    put_string(out, version.as_bytes());
                }
            }
            _ => {
                out.put_u32(number);
                self.put_body(out);
            }
        }
        let length = (out.len() - start - LENGTH) as u32;
        if let Some(field) = out.get_mut(start..start + LENGTH) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Version => 2,
            Self::Status(..) => 101,
            Self::Handle(_) => 102,
            Self::Names(_) => 104,
            Self::Attributes(_) => 105,
            Self::StatVfs(_) | Self::Limits(_) | Self::Owners(..) => 201,
        }
    }

    fn put_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Version => {}
            Self::Status(code, words) => {
                out.put_u32(*code as u32);
                put_string(out, words.as_bytes());
                put_string(out, b"");
            }
            Self::Handle(handle) => put_string(out, handle),
            Self::Names(names) => {
                out.put_u32(names.len() as u32);
                for name in *names {
                    put_string(out, &name.name);
                    put_string(out, &name.long);
                    name.attributes.put(out);
                }
            }
            Self::Attributes(attributes) => attributes.put(out),
            Self::StatVfs(figures) => put_figures(figures, out),
            Self::Limits(limits) => limits.iter().for_each(|limit| out.put_u64(*limit)),
            Self::Owners(users, groups) => {
                for names in [users, groups] {
                    let mut packed = Vec::new();
                    names.iter().for_each(|name| put_string(&mut packed, name));
                    put_string(out, &packed);
                }
            }
        }
    }
}

fn put_figures(figures: &StatVfs, out: &mut Vec<u8>) {
    let StatVfs {
        bsize,
        frsize,
        blocks,
        bfree,
        bavail,
        files,
        ffree,
        favail,
        fsid,
        flag,
        namemax,
    } = *figures;
    let all = [
        bsize, frsize, blocks, bfree, bavail, files, ffree, favail, fsid, flag, namemax,
    ];
    all.iter().for_each(|figure| out.put_u64(*figure));
}

/// Bytes in front of a file's bytes in SSH_FXP_DATA, with the message's length.
pub const DATA_HEADER: usize = LENGTH + 9;

/// What stands in front of this many bytes of a file.
pub fn data_header(number: u32, length: u32) -> [u8; DATA_HEADER] {
    let mut header = [0; DATA_HEADER];
    let mut out = &mut header[..];
    out.put_u32(length + 9);
    out.put_u8(103);
    out.put_u32(number);
    out.put_u32(length);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;

    fn bytes(reply: Reply<'_>) -> Vec<u8> {
        let mut out = vec![];
        reply.put(9, &mut out);
        let message = frame::first(&out).unwrap().unwrap().to_vec();
        assert_eq!(message.len() + LENGTH, out.len());
        message
    }

    #[test]
    fn replies_are_as_the_draft_has_them() {
        let version = bytes(Reply::Version);
        assert_eq!(version[..9], [2, 0, 0, 0, 3, 0, 0, 0, 24]);
        assert!(version.ends_with(b"users-groups-by-id@openssh.com\0\0\0\x011"));
        assert_eq!(
            bytes(Reply::Status(Code::NoSuchFile, "no")),
            b"\x65\0\0\0\x09\0\0\0\x02\0\0\0\x02no\0\0\0\0"
        );
        assert_eq!(bytes(Reply::Handle(b"h")), b"\x66\0\0\0\x09\0\0\0\x01h");
        let name = Name {
            name: b"n\xff".to_vec(),
            long: b"-rw n".to_vec(),
            attributes: Attributes::default(),
        };
        assert_eq!(
            bytes(Reply::Names(&[name])),
            b"\x68\0\0\0\x09\0\0\0\x01\0\0\0\x02n\xff\0\0\0\x05-rw n\0\0\0\0"
        );
        assert_eq!(
            bytes(Reply::Owners(&[b"root".to_vec(), vec![]], &[])),
            b"\xc9\0\0\0\x09\0\0\0\x0c\0\0\0\x04root\0\0\0\0\0\0\0\0"
        );
        assert_eq!(data_header(9, 2), *b"\0\0\0\x0b\x67\0\0\0\x09\0\0\0\x02");
    }
}
