//! Streams of SFTP as they pass a frontdoor: looking at them never panics, costs little memory, and sees
//! the same however they are cut. What may pass a gate is the same, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podgate_sftp::access::Access;
use podgate_sftp::gate::Gate;
use podgate_sftp::heads::{Heads, Seen, answered, asked};

fuzz_target!(|input: (u8, &[u8])| {
    let (size, stream) = input;
    let see = |size: usize| {
        let (mut heads, mut seen) = (Heads::default(), Vec::new());
        for piece in stream.chunks(size) {
            heads.feed(piece, |one| {
                if let Seen::Whole(head) = one {
                    seen.push(format!("{:?} {:?}", asked(head), answered(head)));
                }
            });
        }
        seen
    };
    let pass = |size: usize| {
        let (mut gate, mut out) = (Gate::new(Access::Read), Vec::new());
        let mut refused = 0;
        for piece in stream.chunks(size) {
            refused += gate.pass(piece, &mut out);
        }
        out.extend(gate.rest());
        assert_eq!(out.len(), stream.len());
        (out, refused)
    };
    let (size, whole) = (usize::from(size).max(1), stream.len().max(1));
    assert_eq!(see(size), see(whole));
    assert_eq!(pass(size), pass(whole));
});
