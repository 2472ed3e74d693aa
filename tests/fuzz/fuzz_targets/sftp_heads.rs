//! Streams of SFTP as they pass a frontdoor: looking at them never panics, costs little memory, and sees
//! the same however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podgate_sftp::heads::{Heads, answered, asked};

fuzz_target!(|input: (u8, &[u8])| {
    let (size, stream) = input;
    let see = |size: usize| {
        let (mut heads, mut seen) = (Heads::default(), Vec::new());
        for piece in stream.chunks(size) {
            heads.feed(piece, |head| {
                seen.push(format!("{:?} {:?}", asked(head), answered(head)));
            });
        }
        seen
    };
    assert_eq!(see(usize::from(size).max(1)), see(stream.len().max(1)));
});
