//! The PROXY header: reading it never panics, never takes a byte after it, stays within its bound, and
//! does not depend on the pieces in which it arrives.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure file itself: building its crate would take minutes.
#[path = "../../../frontdoor/src/ssh/proxy_protocol.rs"]
mod proxy_protocol;
use proxy_protocol::{LONGEST, Step, read};

fuzz_target!(|stream: &[u8]| {
    let mut taken = 0;
    loop {
        let header = &stream[..taken];
        match read(header) {
            Err(_) => return,
            Ok(Step::Whole(ends)) => {
                // Cut short anywhere, it asks for no more bytes than there are, or fails in the same
                // way.
                for cut in 0..taken {
                    match read(&stream[..cut]) {
                        Ok(Step::More(more)) => assert!(more > 0 && cut + more <= taken),
                        other => panic!("{other:?} at {cut} of {taken}"),
                    }
                }
                if let Some(ends) = ends
                    && ends.client.is_ipv4() == ends.server.is_ipv4()
                {
                    let (client, server) = (ends.client, ends.server);
                    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
                    let (from, to) = (client.ip(), server.ip());
                    let ports = format!("{} {}", client.port(), server.port());
                    let line = format!("PROXY {family} {from} {to} {ports}\r\n");
                    assert_eq!(read(line.as_bytes()), Ok(Step::Whole(Some(ends))));
                }
                return;
            }
            Ok(Step::More(more)) => {
                assert!(more > 0 && taken + more <= LONGEST);
                taken += more;
                if taken > stream.len() {
                    return;
                }
            }
        }
    }
});
