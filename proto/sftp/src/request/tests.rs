//! Requests as OpenSSH's client sends them.

use super::*;
use crate::wire::put_string;

/// A message of this type and number, with these strings and then these bytes.
fn message(kind: u8, strings: &[&[u8]], rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0, 9];
    for string in strings {
        put_string(&mut bytes, string);
    }
    bytes.extend_from_slice(rest);
    bytes
}

#[test]
fn each_type_is_read() {
    let none = [0; 4];
    let (a, b): (&[u8], &[u8]) = (b"a\xff", b"b");
    let attributes = Attributes::default();
    let numbers = [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 128, 0];
    let cases: Vec<(Vec<u8>, Request<'_>)> = vec![
        (
            message(3, &[a], &[0, 0, 0, 26, 0, 0, 0, 0]),
            Request::Open {
                path: a,
                flags: OpenFlags(26),
                attributes,
            },
        ),
        (message(4, &[a], &[]), Request::Close { handle: a }),
        (
            message(5, &[a], &numbers),
            Request::Read {
                handle: a,
                offset: 256,
                length: 32768,
            },
        ),
        (
            message(6, &[a], &[&numbers[..8], &[0, 0, 0, 1, b'b']].concat()),
            Request::Write {
                handle: a,
                offset: 256,
                data: b,
            },
        ),
        (message(7, &[a], &[]), Request::LinkStat { path: a }),
        (message(8, &[a], &[]), Request::FileStat { handle: a }),
        (
            message(9, &[a], &none),
            Request::SetStat {
                path: a,
                attributes,
            },
        ),
        (
            message(10, &[a], &none),
            Request::FileSetStat {
                handle: a,
                attributes,
            },
        ),
        (message(11, &[a], &[]), Request::OpenFolder { path: a }),
        (message(12, &[a], &[]), Request::ReadFolder { handle: a }),
        (message(13, &[a], &[]), Request::Remove { path: a }),
        (
            message(14, &[a], &none),
            Request::MakeFolder {
                path: a,
                attributes,
            },
        ),
        (message(15, &[a], &[]), Request::RemoveFolder { path: a }),
        (message(16, &[a], &[]), Request::RealPath { path: a }),
        (message(17, &[a], &[]), Request::Stat { path: a }),
        (
            message(18, &[a, b], &[]),
            Request::Rename { from: a, to: b },
        ),
        (message(19, &[a], &[]), Request::ReadLink { path: a }),
        (
            message(20, &[a, b], &[]),
            Request::SymbolicLink { target: a, link: b },
        ),
    ];
    for (bytes, request) in cases {
        assert_eq!(Message::read(&bytes), Ok(Message::Request(9, request)));
        for cut in 0..bytes.len() {
            assert_eq!(
                Message::read(&bytes[..cut]),
                Err(Error::Short),
                "{request:?}"
            );
        }
    }
    assert_eq!(Message::read(&[1, 0, 0, 0, 3]), Ok(Message::Init(3)));
    let unknown = Message::Request(9, Request::Unknown(99));
    assert_eq!(Message::read(&message(99, &[], &[])), Ok(unknown));
}

#[test]
fn each_extension_is_read() {
    let none = [0; 4];
    let (a, b): (&[u8], &[u8]) = (b"a", b"b");
    let attributes = Attributes::default();
    let numbers = [&[0; 7][..], &[1], &[0; 7], &[2]].concat();
    let copy = [&numbers[..], &[0, 0, 0, 1, b'b'], &[0; 7], &[3]].concat();
    type Case<'a> = (&'a [u8], &'a [&'a [u8]], &'a [u8], Extended<'a>);
    let cases: [Case<'_>; 11] = [
        (
            b"posix-rename@openssh.com",
            &[a, b],
            &[],
            Extended::PosixRename { from: a, to: b },
        ),
        (
            b"statvfs@openssh.com",
            &[a],
            &[],
            Extended::StatVfs { path: a },
        ),
        (
            b"fstatvfs@openssh.com",
            &[a],
            &[],
            Extended::FileStatVfs { handle: a },
        ),
        (
            b"hardlink@openssh.com",
            &[a, b],
            &[],
            Extended::HardLink { from: a, to: b },
        ),
        (
            b"fsync@openssh.com",
            &[a],
            &[],
            Extended::FileSync { handle: a },
        ),
        (
            b"lsetstat@openssh.com",
            &[a],
            &none,
            Extended::LinkSetStat {
                path: a,
                attributes,
            },
        ),
        (b"limits@openssh.com", &[], &[], Extended::Limits),
        (
            b"expand-path@openssh.com",
            &[a],
            &[],
            Extended::ExpandPath { path: a },
        ),
        (
            b"copy-data",
            &[a],
            &copy,
            Extended::CopyData(CopyData {
                from: a,
                from_offset: 1,
                length: 2,
                to: b,
                to_offset: 3,
            }),
        ),
        (
            b"home-directory",
            &[a],
            &[],
            Extended::HomeDirectory { user: a },
        ),
        (
            b"users-groups-by-id@openssh.com",
            &[a, b],
            &[],
            Extended::Names {
                users: a,
                groups: b,
            },
        ),
    ];
    let names = EXTENSIONS.map(|(name, _)| name.as_bytes());
    assert_eq!(cases.map(|(name, ..)| name), names);
    for (name, strings, rest, extended) in cases {
        let bytes = message(200, &[&[name], strings].concat(), rest);
        let request = Request::Extended(extended);
        assert_eq!(Message::read(&bytes), Ok(Message::Request(9, request)));
    }
    let unknown = Request::Extended(Extended::Unknown);
    let bytes = message(200, &[b"x@example"], &[]);
    assert_eq!(Message::read(&bytes), Ok(Message::Request(9, unknown)));
}
