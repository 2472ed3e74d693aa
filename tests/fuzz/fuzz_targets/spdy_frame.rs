//! The SPDY decoder on a peer's bytes: it never panics, takes every byte at most once, and decodes the
//! same wherever the bytes are cut. The input is what the peer sends, with nothing of the fuzzer's own
//! in it, so that the decoder's own tests can replay the corpus.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

// The pure file itself: building its crate would take minutes.
#[path = "../../../agent/src/exec/spdy/frame.rs"]
#[allow(dead_code, reason = "a client's own frames are not fuzzed")]
mod frame;
use frame::{Decoder, Error, Frame};

fuzz_target!(|input: &[u8]| {
    let whole = decode(input, [input]);
    assert_eq!(decode(input, input.chunks(1)), whole, "a byte at a time");
    assert_eq!(decode(input, cuts(input)), whole, "{:?}", cuts(input));
});

/// What the input decodes to in these parts, and how many bytes of it are taken.
fn decode<'a>(
    input: &[u8],
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Result<usize, Error>) {
    let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::new());
    let (mut frames, mut given, mut taken) = (Vec::new(), 0, 0);
    for part in parts {
        buffer.extend_from_slice(part);
        given += part.len();
        loop {
            let next = decoder.next(&mut buffer);
            let begin = taken;
            taken = given - buffer.len();
            assert!(begin <= taken, "bytes have come back");
            assert!(
                begin == taken || buffer == input[taken..given],
                "bytes that are left changed"
            );
            match next {
                Err(error) => return (frames, Err(error)),
                Ok(None) => break,
                Ok(Some(frame)) => {
                    check(&frame, &input[begin..taken]);
                    push(&mut frames, frame);
                }
            }
        }
    }
    (frames, Ok(taken))
}

/// A frame consists of the bytes that it took, so no byte is passed on twice.
fn check(frame: &Frame, taken: &[u8]) {
    let Frame::Data { payload, .. } = frame else {
        return assert!(taken.len() >= 8, "a control frame without its header");
    };
    assert!(taken.ends_with(payload));
    assert!(matches!(taken.len() - payload.len(), 0 | 8));
    assert!(!taken.is_empty(), "a frame out of nothing never ends");
}

/// The cuts decide only into how many parts a data frame is split. Consecutive parts of one stream are
/// joined here, but nothing is joined to a part with `fin`.
fn push(frames: &mut Vec<Frame>, next: Frame) {
    if let (
        Some(Frame::Data {
            stream,
            fin,
            payload,
        }),
        Frame::Data {
            stream: same,
            fin: last,
            payload: more,
        },
    ) = (frames.last_mut(), &next)
        && stream == same
        && !*fin
    {
        *payload = [&payload[..], &more[..]].concat().into();
        *fin = *last;
        return;
    }
    frames.push(next);
}

/// Parts of 0 to 15 bytes, mostly: each input has its own cuts, always the same.
fn cuts(mut input: &[u8]) -> Vec<&[u8]> {
    // FNV-1a for the seed, and from there a linear congruential generator.
    let fnv = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut state = input.iter().fold(0xcbf2_9ce4_8422_2325, fnv);
    let mut parts = Vec::new();
    while !input.is_empty() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let most = if state >> 62 == 0 { 256 } else { 16 };
        let length = (state >> 33) as usize % most;
        let (part, rest) = input.split_at(length.min(input.len()));
        parts.push(part);
        input = rest;
    }
    parts
}
