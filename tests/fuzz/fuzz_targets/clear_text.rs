//! What a client sends before it is encrypted: following it never panics, does not depend on the pieces in
//! which it arrives, and ends behind the first packet of kind NEWKEYS and nowhere else.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure file itself: building its crate would take minutes.
#[path = "../../../frontdoor/src/ssh/clear_text.rs"]
mod clear_text;
use clear_text::ClearText;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, stream) = input;
    let mut at = ClearText::Line;
    let mut ended = None;
    for (index, byte) in stream.iter().enumerate() {
        at.pass(&[*byte]);
        if at.has_ended() && ended.is_none() {
            ended = Some(index + 1);
        }
    }
    assert_eq!(ended, reference(stream));
    let mut pieces = ClearText::Line;
    for piece in stream.chunks(usize::from(piece).max(1)) {
        pieces.pass(piece);
    }
    assert_eq!(pieces, at);
});

/// How many bytes are not encrypted, packet by packet.
fn reference(stream: &[u8]) -> Option<usize> {
    let mut at = stream.iter().position(|byte| *byte == b'\n')? + 1;
    loop {
        let length: [u8; 4] = stream.get(at..at + 4)?.try_into().ok()?;
        let length = u32::from_be_bytes(length) as usize;
        let packet = stream.get(at + 4..at + 4 + length)?;
        at += 4 + length;
        if packet.get(1) == Some(&21) {
            return Some(at);
        }
    }
}
