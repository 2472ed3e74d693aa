//! Looks at the messages that pass by, in whatever pieces they come. Of each the beginning is kept, as
//! far as it says what is done with which file; data is only counted.

use crate::request::OpenFlags;
use crate::wire::Fields;

/// Bytes of a message that are kept: two of the longest paths, with what is around them.
const MAX_HEAD: usize = 12 * 1024;
/// The same of a message of data, whose handle is in front.
const MAX_DATA_HEAD: usize = 320;
/// Bytes of the length in front of a message.
const LENGTH: usize = 4;

const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ: u8 = 5;
const WRITE: u8 = 6;
const SETSTAT: u8 = 9;
const REMOVE: u8 = 13;
const RENAME: u8 = 18;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const EXTENDED: u8 = 200;
/// SSH_FILEXFER_ATTR_SIZE.
const SIZE: u32 = 1;
const OK: u32 = 0;
const EOF: u32 = 1;

/// One direction of a session.
#[derive(Debug, Default)]
pub struct Heads {
    /// Of the message that comes, or of its length.
    head: Vec<u8>,
    /// Bytes of the message that are still to come; `None` while its length is.
    due: Option<usize>,
    /// Bytes of the message that have come.
    come: usize,
}

/// What is seen of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// Bytes of a file, of a message whose head this is; so many of it came before them.
    Data(&'a [u8], usize, &'a [u8]),
    /// All of it has come, and this is its head.
    Whole(&'a [u8]),
}

/// What a client asks, as far as it is about the contents or the names of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the draft's own")]
pub enum Asked<'a> {
    Open {
        path: &'a [u8],
        read: bool,
        write: bool,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        bytes: u32,
    },
    Remove {
        path: &'a [u8],
    },
    /// By its attributes.
    Resize {
        path: &'a [u8],
    },
    Rename {
        from: &'a [u8],
        to: &'a [u8],
    },
}

/// What a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered<'a> {
    /// It was done, or there is no more.
    Done,
    /// It was not.
    Failed,
    /// What was opened.
    Handle(&'a [u8]),
    /// So many bytes were read.
    Data(u32),
    /// Anything else.
    Other,
}

impl Heads {
    /// Takes the next bytes, and shows each message that ends in them, and the bytes of files.
    pub fn feed(&mut self, mut bytes: &[u8], mut see: impl FnMut(Seen<'_>)) {
        while !bytes.is_empty() {
            let due = match self.due {
                Some(due) => due,
                None => {
                    let wanted = LENGTH - self.head.len();
                    let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
                    self.head.extend_from_slice(taken);
                    bytes = rest;
                    let Some(length) = self.head.first_chunk::<LENGTH>() else {
                        return;
                    };
                    let length = u32::from_be_bytes(*length) as usize;
                    self.head.clear();
                    length
                }
            };
            let (taken, rest) = bytes.split_at(due.min(bytes.len()));
            self.keep(taken);
            bytes = rest;
            if let Some((before, data)) = self.data(taken) {
                see(Seen::Data(&self.head, before, data));
            }
            self.come += taken.len();
            self.due = Some(due - taken.len());
            if self.due == Some(0) {
                see(Seen::Whole(&self.head));
                self.head.clear();
                self.due = None;
                self.come = 0;
            }
        }
    }

    /// The bytes of a file among those of a message that come now, and how many came before.
    fn data<'a>(&self, taken: &'a [u8]) -> Option<(usize, &'a [u8])> {
        let (start, length) = data_field(&self.head)?;
        let end = start.checked_add(length)?.saturating_sub(self.come);
        let skipped = start.saturating_sub(self.come);
        let data = taken.get(skipped..end.min(taken.len()))?;
        (!data.is_empty()).then_some((self.come.saturating_sub(start), data))
    }

    fn keep(&mut self, bytes: &[u8]) {
        let most = match self.head.first().or(bytes.first()) {
            Some(&(WRITE | DATA | NAME)) => MAX_DATA_HEAD,
            _ => MAX_HEAD,
        };
        let room = most.saturating_sub(self.head.len()).min(bytes.len());
        self.head
            .extend_from_slice(bytes.get(..room).unwrap_or_default());
    }
}

/// Where in a message the bytes of a file are, and how many.
fn data_field(head: &[u8]) -> Option<(usize, usize)> {
    let mut fields = Fields(head);
    let kind = fields.u8().ok()?;
    fields.u32().ok()?;
    match kind {
        WRITE => {
            fields.string().ok()?;
            fields.u64().ok()?;
        }
        DATA => {}
        _ => return None,
    }
    let length = fields.u32().ok()? as usize;
    Some((head.len() - fields.0.len(), length))
}

/// The number of a client's request and what it asks. `None` for all else.
pub fn asked(head: &[u8]) -> Option<(u32, Asked<'_>)> {
    let mut fields = Fields(head);
    let kind = fields.u8().ok()?;
    let number = fields.u32().ok()?;
    let mut string = || fields.string().ok();
    let asked = match kind {
        OPEN => {
            let path = string()?;
            let flags = fields.u32().ok()?;
            let flags = OpenFlags(flags);
            let (read, write) = (flags.reads(), flags.changes());
            Asked::Open { path, read, write }
        }
        CLOSE => Asked::Close { handle: string()? },
        READ => {
            let handle = string()?;
            let offset = fields.u64().ok()?;
            Asked::Read { handle, offset }
        }
        WRITE => {
            let handle = string()?;
            let offset = fields.u64().ok()?;
            let bytes = fields.u32().ok()?;
            Asked::Write {
                handle,
                offset,
                bytes,
            }
        }
        REMOVE => Asked::Remove { path: string()? },
        // Of attributes only the size is of a file's bytes.
        SETSTAT => {
            let path = string()?;
            (fields.u32().ok()? & SIZE != 0).then_some(Asked::Resize { path })?
        }
        RENAME => Asked::Rename {
            from: string()?,
            to: string()?,
        },
        EXTENDED if string()? == b"posix-rename@openssh.com" => Asked::Rename {
            from: string()?,
            to: string()?,
        },
        _ => return None,
    };
    Some((number, asked))
}

/// The number of an answer's request, and the answer.
pub fn answered(head: &[u8]) -> Option<(u32, Answered<'_>)> {
    let mut fields = Fields(head);
    let kind = fields.u8().ok()?;
    let number = fields.u32().ok()?;
    let answered = match kind {
        STATUS => match fields.u32().ok()? {
            OK | EOF => Answered::Done,
            _ => Answered::Failed,
        },
        HANDLE => Answered::Handle(fields.string().ok()?),
        DATA => Answered::Data(fields.u32().ok()?),
        _ => Answered::Other,
    };
    Some((number, answered))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = [&[kind][..], &7u32.to_be_bytes(), &parts.concat()].concat();
        [&(body.len() as u32).to_be_bytes()[..], &body].concat()
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
    }

    #[test]
    fn messages_are_seen_however_they_are_cut() {
        let data = [0; 100_000];
        let stream = [
            message(OPEN, &[&string(b"/a"), &0x1au32.to_be_bytes(), &[0; 4]]),
            message(WRITE, &[&string(b"h"), &[0; 8], &string(&data)]),
            message(CLOSE, &[&string(b"h")]),
            message(
                EXTENDED,
                &[
                    &string(b"posix-rename@openssh.com"),
                    &string(b"x"),
                    &string(b"y"),
                ],
            ),
            message(1, &[]),
        ]
        .concat();
        let expect = [
            "Open { path: [47, 97], read: false, write: true }",
            "Write { handle: [104], offset: 0, bytes: 100000 }",
            "Close { handle: [104] }",
            "Rename { from: [120], to: [121] }",
        ];
        for size in [1, 3, 4, 5, 1000, stream.len()] {
            let (mut heads, mut seen) = (Heads::default(), Vec::new());
            for piece in stream.chunks(size) {
                heads.feed(piece, |one| {
                    let Seen::Whole(head) = one else { return };
                    seen.extend(asked(head).map(|(_, asked)| format!("{asked:?}")));
                    assert!(head.len() <= MAX_HEAD);
                });
                assert!(heads.head.len() <= MAX_HEAD);
            }
            assert_eq!(seen, expect, "in pieces of {size}");
        }
    }

    #[test]
    fn the_bytes_of_files_are_seen_however_they_are_cut() {
        let data: Vec<u8> = (0..1000_u32).map(|n| n as u8).collect();
        // What follows the field is none of it.
        let stream = [
            message(
                WRITE,
                &[&string(b"handle"), &[0; 8], &string(&data), b"more"],
            ),
            message(DATA, &[&string(&data)]),
            message(DATA, &[&string(b"")]),
            message(OPEN, &[&string(&data)]),
            message(DATA, &[&9u32.to_be_bytes(), b"less"]),
        ]
        .concat();
        let expect = [data.as_slice(), &data, b"", b"less"];
        for size in [1, 3, 4, 7, 300, stream.len()] {
            let (mut heads, mut all) = (Heads::default(), Vec::new());
            let mut now: Vec<u8> = Vec::new();
            for piece in stream.chunks(size) {
                heads.feed(piece, |seen| match seen {
                    Seen::Data(_, before, bytes) => {
                        assert_eq!(before, now.len());
                        now.extend_from_slice(bytes);
                    }
                    Seen::Whole(head) if head[0] != OPEN => all.push(std::mem::take(&mut now)),
                    Seen::Whole(_) => assert!(now.is_empty()),
                });
            }
            assert_eq!(all, expect, "in pieces of {size}");
        }
    }

    #[test]
    fn answers_are_read() {
        let check = |message: Vec<u8>, expect: Option<Answered<'_>>| {
            let answer = answered(&message[LENGTH..]);
            assert_eq!(answer, expect.map(|answer| (7, answer)));
        };
        check(message(STATUS, &[&[0; 4]]), Some(Answered::Done));
        check(
            message(STATUS, &[&1u32.to_be_bytes()]),
            Some(Answered::Done),
        );
        check(
            message(STATUS, &[&4u32.to_be_bytes()]),
            Some(Answered::Failed),
        );
        check(
            message(HANDLE, &[&string(b"h")]),
            Some(Answered::Handle(b"h")),
        );
        check(
            message(DATA, &[&9u32.to_be_bytes()]),
            Some(Answered::Data(9)),
        );
        check(message(NAME, &[]), Some(Answered::Other));
        check(message(STATUS, &[]), None);
        assert_eq!(answered(&[]), None);
    }

    #[test]
    fn a_message_that_is_too_long_costs_no_memory() {
        let mut heads = Heads::default();
        heads.feed(&u32::MAX.to_be_bytes(), |_| panic!("it has no end"));
        for _ in 0..100 {
            heads.feed(&[OPEN; 100_000], |_| panic!("it has no end"));
        }
        assert_eq!(heads.head.len(), MAX_HEAD);
    }
}
