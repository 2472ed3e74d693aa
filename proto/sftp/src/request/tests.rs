//! Requests as OpenSSH's client sends them.

use super::*;
use crate::wire::put_string;

const NONE: Attributes = Attributes {
    size: None,
    owner: None,
    permissions: None,
    times: None,
};
/// Attributes without any field.
const NO_FLAGS: &[u8] = &[0; 4];
const A: &[u8] = b"a\xff";
const B: &[u8] = b"b";

/// A message of this type and of number 9, with these strings and then these bytes.
fn message(kind: u8, strings: &[&[u8]], rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0, 9];
    for string in strings {
        put_string(&mut bytes, string);
    }
    bytes.extend_from_slice(rest);
    bytes
}

/// Checks that this message is read as this request, and that no shorter part of it is.
fn is(kind: u8, strings: &[&[u8]], rest: &[u8], request: Request<'_>) {
    let bytes = message(kind, strings, rest);
    assert_eq!(Message::read(&bytes), Ok(Message::Request(9, request)));
    for cut in 0..bytes.len() {
        assert_eq!(
            Message::read(&bytes[..cut]),
            Err(Error::Short),
            "{request:?}"
        );
    }
}

#[test]
fn requests_about_what_is_open() {
    let (handle, offset) = (A, 256);
    let far = [0, 0, 0, 0, 0, 0, 1, 0];
    let length = 32_768;
    let read = [&far[..], &[0, 0, 128, 0]].concat();
    let write = [&far[..], &[0, 0, 0, 1, b'b']].concat();
    let attributes = NONE;
    is(4, &[A], &[], Request::Close { handle });
    let request = Request::Read {
        handle,
        offset,
        length,
    };
    is(5, &[A], &read, request);
    let request = Request::Write {
        handle,
        offset,
        data: B,
    };
    is(6, &[A], &write, request);
    is(8, &[A], &[], Request::FileStat { handle });
    is(
        10,
        &[A],
        NO_FLAGS,
        Request::FileSetStat { handle, attributes },
    );
    is(12, &[A], &[], Request::ReadFolder { handle });
}

#[test]
fn requests_about_paths() {
    let (path, attributes) = (A, NONE);
    let flags = OpenFlags(26);
    let open = Request::Open {
        path,
        flags,
        attributes,
    };
    is(3, &[A], &[0, 0, 0, 26, 0, 0, 0, 0], open);
    is(7, &[A], &[], Request::LinkStat { path });
    is(9, &[A], NO_FLAGS, Request::SetStat { path, attributes });
    is(11, &[A], &[], Request::OpenFolder { path });
    is(13, &[A], &[], Request::Remove { path });
    is(14, &[A], NO_FLAGS, Request::MakeFolder { path, attributes });
    is(15, &[A], &[], Request::RemoveFolder { path });
    is(16, &[A], &[], Request::RealPath { path });
    is(17, &[A], &[], Request::Stat { path });
    is(18, &[A, B], &[], Request::Rename { from: A, to: B });
    is(19, &[A], &[], Request::ReadLink { path });
    is(
        20,
        &[A, B],
        &[],
        Request::SymbolicLink { target: A, link: B },
    );
}

#[test]
fn what_is_no_request() {
    assert_eq!(Message::read(&[1, 0, 0, 0, 3]), Ok(Message::Init(3)));
    is(99, &[], &[], Request::Unknown(99));
    is(
        200,
        &[b"x@example"],
        &[],
        Request::Extended(Extended::Unknown),
    );
}

#[test]
fn extensions() {
    let extended = |name: usize, strings: &[&[u8]], rest: &[u8], extended| {
        let name = EXTENSIONS[name].0.as_bytes();
        let strings = [&[name], strings].concat();
        is(200, &strings, rest, Request::Extended(extended));
    };
    let (path, handle, attributes) = (A, A, NONE);
    extended(0, &[A, B], &[], Extended::PosixRename { from: A, to: B });
    extended(1, &[A], &[], Extended::StatVfs { path });
    extended(2, &[A], &[], Extended::FileStatVfs { handle });
    extended(3, &[A, B], &[], Extended::HardLink { from: A, to: B });
    extended(4, &[A], &[], Extended::FileSync { handle });
    extended(
        5,
        &[A],
        NO_FLAGS,
        Extended::LinkSetStat { path, attributes },
    );
    extended(6, &[], &[], Extended::Limits);
    extended(7, &[A], &[], Extended::ExpandPath { path });
    let numbers = [&[0; 7][..], &[1], &[0; 7], &[2]].concat();
    let rest = [&numbers[..], &[0, 0, 0, 1, b'b'], &[0; 7], &[3]].concat();
    let copy = CopyData {
        from: A,
        from_offset: 1,
        length: 2,
        to: B,
        to_offset: 3,
    };
    extended(8, &[A], &rest, Extended::CopyData(copy));
    extended(9, &[A], &[], Extended::HomeDirectory { user: A });
    let (users, groups) = (A, B);
    extended(10, &[A, B], &[], Extended::Names { users, groups });
}

#[test]
fn replays_the_fuzz_corpus() {
    let corpus = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fuzz/corpus/sftp_request"
    );
    let mut seen = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        // It must not panic.
        let _ = Message::read(&bytes);
        seen += 1;
    }
    assert!(seen > 0, "the corpus is gone");
}
