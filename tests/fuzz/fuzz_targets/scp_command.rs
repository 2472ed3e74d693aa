//! A command line as a client sends it: reading one never panics, and what is taken for scp's means to a
//! shell the same paths.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure file itself: building its crate would take minutes.
#[path = "../../../frontdoor/src/ssh/scp.rs"]
mod scp;
use scp::Scp;

fuzz_target!(|command: &[u8]| {
    let Some(read) = Scp::read(command) else {
        return;
    };
    assert!(!read.paths.is_empty() && (!read.receive || read.paths.len() == 1));
    // A pattern with all that is special in quotes is one word again.
    for path in &read.paths {
        let mut again = b"scp -f -- ".to_vec();
        let mut bytes = path.iter().copied();
        let mut plain = Vec::new();
        while let Some(byte) = bytes.next() {
            let byte = if byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte };
            plain.push(byte);
        }
        again.push(b'\'');
        for byte in &plain {
            match byte {
                b'\'' => again.extend_from_slice(br"'\''"),
                byte => again.push(*byte),
            }
        }
        again.push(b'\'');
        let words = Scp::read(&again).expect("it is quoted");
        let escaped: Vec<u8> = plain.iter().flat_map(|byte| [b'\\', *byte]).collect();
        assert_eq!(words.paths, [escaped]);
    }
});
