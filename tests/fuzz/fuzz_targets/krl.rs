//! A file of revoked keys, a KRL of OpenSSH or a text: reading it never panics, and a section that is added
//! never gives back what was revoked before it.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure files themselves: building their crate would take minutes.
#[path = "../../../frontdoor/src/authn/revoked"]
mod revoked {
    mod krl;
    mod list;

    use std::sync::LazyLock;

    use russh::keys::Certificate;

    use list::List;

    /// Certificates of two CAs, some without a serial number (0).
    static CERTIFICATES: LazyLock<Vec<Certificate>> = LazyLock::new(|| {
        let lines = include_str!("../../../frontdoor/src/authn/revoked/krl/certificates");
        let all = lines.lines().map(|line| line.parse());
        all.collect::<Result<_, _>>().expect("certificates")
    });
    /// Begins a KRL: its format, number, date, flags and texts.
    const HEAD: &[u8] =
        b"SSHKRL\n\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    /// Revokes every number of any CA: a section with one range, from 1 to the last number there is.
    const ALL: &[u8] = b"\x01\0\0\0\x1d\0\0\0\0\0\0\0\0\x21\0\0\0\x10\
        \0\0\0\0\0\0\0\x01\xff\xff\xff\xff\xff\xff\xff\xff";
    /// Says nothing: an extension that is not critical.
    const NOTHING: &[u8] = b"\xff\0\0\0\x0a\0\0\0\x01x\0\0\0\0\0";

    /// Reads a file. What is no KRL is also taken for the sections of one, whose head is hard to guess.
    pub(crate) fn read(bytes: &[u8]) {
        if krl::is_krl(bytes) {
            return binary(bytes);
        }
        binary(&[HEAD, bytes].concat());
        if let Ok(lines) = str::from_utf8(bytes) {
            text(lines);
        }
    }

    fn judged(list: &List) -> Vec<bool> {
        CERTIFICATES
            .iter()
            .map(|one| list.certificate(one))
            .collect()
    }

    /// Reads a KRL. One that is sound stays so with more sections behind it.
    fn binary(bytes: &[u8]) {
        let Ok(list) = krl::parse(bytes) else {
            return;
        };
        assert!(krl::is_krl(bytes));
        let revoked = judged(&list);
        let same = krl::parse(&[bytes, NOTHING].concat());
        assert_eq!(same.as_ref(), Ok(&list));
        let more = krl::parse(&[bytes, ALL].concat()).expect("a section more");
        for (now, (before, one)) in judged(&more).iter().zip(revoked.iter().zip(&*CERTIFICATES)) {
            assert_eq!(*now, *before || one.serial() != 0);
        }
    }

    /// Reads a text. A line more revokes more.
    fn text(text: &str) {
        let Ok(list) = List::parse(text) else {
            return;
        };
        let more = List::parse(&format!("{text}\nserial: 1-0xffffffffffffffff\n"));
        let more = judged(&more.expect("a line more"));
        for (now, (before, one)) in more.iter().zip(judged(&list).iter().zip(&*CERTIFICATES)) {
            assert_eq!(*now, *before || one.serial() != 0);
        }
    }
}

fuzz_target!(|bytes: &[u8]| revoked::read(bytes));
