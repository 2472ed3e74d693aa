//! The PROXY header: reading it never panics, never takes a byte that is behind it, is over within its
//! bound, and does not depend on the pieces in which it comes.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure file itself: building its crate would take minutes.
#[path = "../../../frontdoor/src/ssh/proxy_protocol.rs"]
mod proxy_protocol;
use proxy_protocol::{Ends, LONGEST, Step, read};

fuzz_target!(|stream: &[u8]| {
    let mut taken = 0;
    loop {
        let header = &stream[..taken];
        match read(header) {
            Err(_) => return,
            Ok(Step::Whole(ends)) => {
                // Cut short anywhere it asks for what is there, or fails the same.
                for cut in 0..taken {
                    match read(&stream[..cut]) {
                        Ok(Step::More(more)) => assert!(more > 0 && cut + more <= taken),
                        other => panic!("{other:?} at {cut} of {taken}"),
                    }
                }
                if let Some(Ends { client, server }) = ends {
                    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
                    let (from, to) = (client.ip(), server.ip());
                    let (port, own) = (client.port(), server.port());
                    let line = format!("PROXY {family} {from} {to} {port} {own}\r\n");
                    assert_eq!(read(line.as_bytes()), Ok(Step::Whole(ends)));
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
